"""Sources that send rows: what they mean but do not say, whose their resources are, and the collector's service."""
