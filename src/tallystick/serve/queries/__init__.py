"""The query service: what customers used, their billing periods, and usage as it comes, as rpc (wire.md section 2)."""
