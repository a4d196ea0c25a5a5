"""Runs `hybrid_jax.cli.study`, which says how it is called."""

from hybrid_jax.cli import command, study

if __name__ == '__main__':
  command.run(study.main)
