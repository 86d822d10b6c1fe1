"""X.509's words as values: names, keys, requests, certificates. No I/O, no clock of its own."""
