"""Where state is kept: writes as values, one durable group commit, a hash-chained journal. Knows no room."""
