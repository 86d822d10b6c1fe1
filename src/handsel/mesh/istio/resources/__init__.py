"""The resources that are read, field by field: Istio's networking and security kinds, and Kubernetes' own.

Field names are Istio's in lower camel case; defaults are Istio's. An unknown field is a fault. One that Istio knows and
handsel does not carry out is declared as `NotYet`, and becomes a finding.
"""
