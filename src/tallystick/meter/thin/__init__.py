"""Batches without samples: what a host makes of them without NumPy, and what the server checks and makes of that (docs/thinned.md)."""
