"""Usage and a contract into lines: one file per price model, one per adjustment."""
