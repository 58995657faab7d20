"""What changes the sums of a subscription's charges, one file each, in the order of the tuple in rate/totals/steps.py."""
