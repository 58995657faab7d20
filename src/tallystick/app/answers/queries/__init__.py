"""The answers of the query service."""
