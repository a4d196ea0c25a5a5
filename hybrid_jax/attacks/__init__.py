"""Attackers: each file is one kind, for a sensitive label or for the input."""
