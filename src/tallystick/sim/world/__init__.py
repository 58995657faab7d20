"""Who lives in the world: hosts with their agents, the server, foreign clients, and the plan of what befalls them."""
