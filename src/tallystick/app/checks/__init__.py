"""What `tally check` compares: one file per layer, each taken in its order by `app/check.py`."""
