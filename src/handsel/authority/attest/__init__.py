"""Attestors: what a host shows, what that proves, and which services follow. Pure: keys and clocks are handed in."""
