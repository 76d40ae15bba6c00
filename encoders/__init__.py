"""How transformers' encoders are cut: families, elastic layers, extraction, elimination."""
