"""Which sub-networks are worth having: constraints, objectives, studies, fronts and queries."""
