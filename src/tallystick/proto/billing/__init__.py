"""Messages of clients that exist already."""
