"""The command `tally`: what a person does, over REST, and what starts the processes."""
