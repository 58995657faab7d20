"""What a subscription agrees beside and after its plan: overrides, and what becomes otherwise."""
