"""What sub-networks are compared with: published numbers with their sources."""
