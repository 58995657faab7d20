"""Many resources counted at once: pure."""
