"""Usage hours, days and months, gaps and findings."""
