"""One module per version; the tables of the first are in its two SQL files."""
