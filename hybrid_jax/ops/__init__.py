"""Convolution and max-pool whose gradients are fast on the CPU."""
