"""The commands, a module each (`hybrid-jax NAME`), and their helpers."""
