"""A whole store into another one, of either database: every row of every table, and the proof that they are the same."""
