"""What one server process holds: put together, watched, measured, with its workers beside it."""
