"""The first bill: real workloads, the book that prices them, and the check that every line is right."""
