"""Kubernetes manifests in, manifests with the sidecar out: pure functions, for the verb and for an admission answer."""
