"""`handsel doctor`: what of this host keeps handsel from being well. Adapters gather facts; checks are pure."""
