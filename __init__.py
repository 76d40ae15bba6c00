"""The accuracy-versus-cost Pareto front of a BERT model's sub-networks, and the best under a budget."""
