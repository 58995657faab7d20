"""What `tally check` asks of the store: rows as they stand, damaged ones as well, a few at a time."""
