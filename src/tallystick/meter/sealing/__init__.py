"""What becomes of usage when rows are deleted by age: segments whose samples are gone, points that are kept (metering.md, Retention)."""
