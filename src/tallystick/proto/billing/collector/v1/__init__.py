"""Version 1 of the collector and query services."""
