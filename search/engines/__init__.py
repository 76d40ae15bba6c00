"""Engines: what a search scores next, one file each."""
