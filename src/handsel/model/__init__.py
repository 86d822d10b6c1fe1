"""THE graph: services, calls between them, what lies outside; and the mesh file that it is written in."""
