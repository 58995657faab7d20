"""The durable queue between the collectors and the network, and the sender that empties it."""
