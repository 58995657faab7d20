"""Version 1 of the product's own protocol."""
