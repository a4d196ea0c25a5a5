"""Runs `hybrid_jax.cli.live`, which says how it is called."""

from hybrid_jax.cli import command, live

if __name__ == '__main__':
  command.run(live.main)
