"""The JSON documents of the API, a module per noun: what is read of them, and how domain values are shown in them."""
