"""Optimal Subarchitecture Extraction for BERT: its candidate sets, its algorithm, Bort's shape."""
