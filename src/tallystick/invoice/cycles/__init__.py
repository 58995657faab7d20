"""What is due when and how much of it, by local dates: cycle dates, stubs, plan changes."""
