"""The seeded world: agents, network, server and store in virtual time under every fault, and an auditor that trusts none of them."""
