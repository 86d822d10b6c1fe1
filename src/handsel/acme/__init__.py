"""ACME as a protocol (RFC 8555 and its extensions): signed requests, states, problems. Knows no authority."""
