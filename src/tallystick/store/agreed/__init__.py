"""What is agreed beside subscriptions: coupons with their redemptions, reservations."""
