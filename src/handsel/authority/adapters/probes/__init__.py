"""Probes: does a client control a name? (RFC 8555, section 8; RFC 8737; RFC 8738.)"""

from __future__ import annotations

from handsel.authority.adapters.probes.probe import Probes

__all__ = ["Probes"]
