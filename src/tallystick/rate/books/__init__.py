"""The price-book format: reading it with every mistake at once, writing it canonically, and the book that ships."""
