"""What is watched: who is away, which numbers are missing, what contradicts what is stored, and why there are gaps."""
