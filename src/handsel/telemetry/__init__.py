"""What can be seen of a running mesh, as numbers."""
