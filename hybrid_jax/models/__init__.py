"""Flax modules that name their split points and run as edge, cloud or whole."""
