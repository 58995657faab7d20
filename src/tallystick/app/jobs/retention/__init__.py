"""Clean-up by age: what may go, in which steps, and the files that samples are moved to before (docs/retention.md)."""
