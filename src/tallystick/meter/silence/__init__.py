"""Silences judged: why there is a gap, and who is away."""
