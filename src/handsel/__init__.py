"""handsel gives every service an identity and makes both sides of every connection prove who they are."""

__version__ = "0.1.0.dev0"
