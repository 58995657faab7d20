"""REST: parse, call, render; no arithmetic on money."""
