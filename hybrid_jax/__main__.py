"""Runs `hybrid-jax` as `python -m hybrid_jax`."""

from hybrid_jax.cli import main

if __name__ == '__main__':
  main.main()
