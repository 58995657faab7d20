"""The service's own rows: audit log, outbox, jobs, repeated requests, settings."""
