"""The validation authority: how a certificate stands, by OCSP and by CRLs."""
