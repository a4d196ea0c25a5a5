"""Runs `hybrid_jax.cli.audit`, which says how it is called."""

from hybrid_jax.cli import audit, command

if __name__ == '__main__':
  command.run(audit.main)
