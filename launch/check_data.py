"""Runs `hybrid_jax.cli.check_data`; see its docstring."""

from hybrid_jax.cli import check_data, command

if __name__ == '__main__':
  command.run(check_data.main)
