"""The agent of one host: proves the host, makes the keys, renews, delivers, watches over the Envoys."""
