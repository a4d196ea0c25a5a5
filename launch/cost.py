"""Runs `hybrid_jax.cli.cost`; see its docstring."""

from hybrid_jax.cli import command, cost

if __name__ == '__main__':
  command.run(cost.main)
