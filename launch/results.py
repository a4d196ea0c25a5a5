"""Runs `hybrid_jax.cli.results`; see its docstring."""

from hybrid_jax.cli import command, results

if __name__ == '__main__':
  command.run(results.main)
