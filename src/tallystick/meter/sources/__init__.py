"""Several sources of one resource: samples of agents, samples of rows, usage records."""
