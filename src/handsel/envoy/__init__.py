"""One Envoy: its bootstrap, its binary, its process, its admin door. Knows no room."""
