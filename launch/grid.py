"""Runs `hybrid_jax.cli.grid`, whose docstring has the usage."""

from hybrid_jax.cli import command, grid

if __name__ == '__main__':
  command.run(grid.main)
