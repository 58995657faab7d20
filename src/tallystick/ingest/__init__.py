"""Connect requests into stored batches, with an outcome each."""
