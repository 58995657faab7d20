"""The host agent's own logs, metrics and wiring, light enough for every host."""
