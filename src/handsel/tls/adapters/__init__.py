"""Adapters of `handsel.tls`: files, sockets, the `ssl` module."""
