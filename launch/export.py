"""Runs `hybrid_jax.cli.export`; see its docstring."""

from hybrid_jax.cli import command, export

if __name__ == '__main__':
  command.run(export.main)
