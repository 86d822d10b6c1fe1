"""Text that remembers where it stands: readers that are bounded and give every value its file, line and column."""
