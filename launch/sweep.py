"""Runs `hybrid_jax.cli.sweep`, which says how it is called."""

from hybrid_jax.cli import command, sweep

if __name__ == '__main__':
  command.run(sweep.main)
