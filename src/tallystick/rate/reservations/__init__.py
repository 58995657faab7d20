"""Reserved capacity: which usage it covers, what it costs, how well it was used, and what of it can be agreed."""
