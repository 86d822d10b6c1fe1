"""The ACME door (RFC 8555, sections 6 and 7): `door` opens it, `speaker` says who speaks, the rest answers."""
