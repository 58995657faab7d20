"""What the API is answered with: the services that it is handed, each from the store and the pure core."""
