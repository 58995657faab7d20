"""One module per noun that a person asks a server about: each parses, asks over REST, and shows."""
