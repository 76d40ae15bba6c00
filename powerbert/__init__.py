"""PoWER-BERT: word-vectors eliminated by a learned retention configuration (Goyal et al. 2020)."""
