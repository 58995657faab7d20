"""Agents, server, worker and PostgreSQL killed with -9 again and again, and a ledger that shares no code with them."""
