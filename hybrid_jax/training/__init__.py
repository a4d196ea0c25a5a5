"""Losses, pairs, steps, the one loop, and its checkpoints."""
