"""The history of the schema: each version expands it or contracts it, and none rebuilds batches, segments or hours."""
