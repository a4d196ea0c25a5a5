"""Runs `hybrid_jax.cli.live`; see its docstring."""

from hybrid_jax.cli import command, live

if __name__ == '__main__':
  command.run(live.main)
