"""The tables of the store, for each database that it can be."""
