"""Samples and usage records into usage: folding, links, gaps, hours."""
