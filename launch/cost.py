"""Runs `hybrid_jax.cli.cost`, which says how it is called."""

from hybrid_jax.cli import command, cost

if __name__ == '__main__':
  command.run(cost.main)
