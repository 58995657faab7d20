"""The adjustments of a charge, one file each, in the order of the tuple in rate/charge.py."""
