"""The messages of the SPIFFE Workload API, from their official description (see NOTICE)."""
