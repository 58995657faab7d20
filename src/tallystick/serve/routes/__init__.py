"""The routes, a module per noun: parse, call, show."""
