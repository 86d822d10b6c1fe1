"""The authority's keys: in files, or in a token that only signs; and the folder with what belongs to them."""

from handsel.authority.adapters.signers.certificates import read_certificate
from handsel.authority.adapters.signers.folder import KeyFolder
from handsel.authority.adapters.signers.roots import read_roots

__all__ = ["KeyFolder", "read_certificate", "read_roots"]
