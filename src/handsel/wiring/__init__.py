"""The one place where adapters meet services, and where rooms meet by values."""
