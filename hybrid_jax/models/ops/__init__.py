"""Layers for the models: convolution and max-pool for the CPU, GroupNorm."""
