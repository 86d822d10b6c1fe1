"""The xDS transport protocol towards one Envoy: resources, snapshots, the delta stream, secrets. Knows no room."""
