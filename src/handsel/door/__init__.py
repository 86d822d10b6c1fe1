"""The hot doors: requests and responses as values, routed by bare ASGI. Names no room."""
