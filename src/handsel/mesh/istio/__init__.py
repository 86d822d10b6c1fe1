"""Istio's resources, read as they are."""
