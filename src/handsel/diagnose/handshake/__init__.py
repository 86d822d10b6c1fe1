"""The TLS handshake, message by message: what was said, what it is for, and what came of it."""
