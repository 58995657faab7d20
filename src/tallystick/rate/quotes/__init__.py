"""What figures would cost without a customer: price models and capacities on bare numbers."""
