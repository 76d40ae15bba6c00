"""What a network is, without torch: its sizes, what is kept of a full model, its tokens."""
