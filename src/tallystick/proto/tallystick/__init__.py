"""Messages of the product's own protocol."""
