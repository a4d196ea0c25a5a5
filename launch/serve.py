"""Runs `hybrid_jax.cli.serve`, which says how it is called."""

from hybrid_jax.cli import command, serve

if __name__ == '__main__':
  command.run(serve.main)
