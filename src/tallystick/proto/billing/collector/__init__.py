"""Messages of the collector and query services of a billing service."""
