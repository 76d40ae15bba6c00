"""What a network costs: parameters, multiply-adds, measured latency, and tables of these."""
