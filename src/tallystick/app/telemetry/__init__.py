"""What is recorded of the processes themselves, for who watches them."""
