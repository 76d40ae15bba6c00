"""The explorer: one offline page that answers questions about a run's networks (no torch)."""
