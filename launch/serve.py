"""Runs `hybrid_jax.cli.serve`; see its docstring."""

from hybrid_jax.cli import command, serve

if __name__ == '__main__':
  command.run(serve.main)
