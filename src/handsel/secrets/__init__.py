"""The secret manager: kinds, versions, grants, and the envelope in which every version lies at rest."""
