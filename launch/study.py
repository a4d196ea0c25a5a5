"""Runs `hybrid_jax.cli.study`; see its docstring."""

from hybrid_jax.cli import command, study

if __name__ == '__main__':
  command.run(study.main)
