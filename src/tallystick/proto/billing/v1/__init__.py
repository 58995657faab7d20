"""Version 1 of the service of existing VM daemons."""
