"""Sample streams with known true usage: how they are sent, and how what became of them is compared."""
