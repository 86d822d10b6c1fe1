"""The registration authority's ACME side: accounts, orders, proofs of control (RFC 8555)."""
