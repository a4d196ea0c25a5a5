"""Convolutions and max-pool that are fast in training on the CPU; GroupNorm."""
