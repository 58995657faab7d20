"""What is deleted by age, what is kept of it, and what comes too late for it (docs/retention.md)."""
