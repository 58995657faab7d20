"""The auditor: what truly happened, what must have come of it, and what the store says; it shares no code with the meter."""
