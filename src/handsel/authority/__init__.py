"""The authority: who may have which name, and the signing of it. No I/O outside `adapters/`, no clock of its own."""
