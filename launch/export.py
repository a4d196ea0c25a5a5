"""Runs `hybrid_jax.cli.export`, which says how it is called."""

from hybrid_jax.cli import command, export

if __name__ == '__main__':
  command.run(export.main)
