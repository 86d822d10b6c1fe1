"""What people may ask of a running server. Each file here has the acts about one thing; `acts` says how they look."""
