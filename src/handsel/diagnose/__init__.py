"""Evidence and verdicts: what a connection really was, why it failed, and the proof that a whole mesh is mutual TLS."""
