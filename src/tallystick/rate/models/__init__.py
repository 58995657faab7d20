"""The price models, one file each."""
