"""Batches, lifecycle and facts into the store, and out of it as the timeline of a resource."""
