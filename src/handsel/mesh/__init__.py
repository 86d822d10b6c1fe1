"""The mesh: from the graph to what each proxy gets. Pure: documents and reports in, published resources out."""
