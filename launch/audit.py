"""Runs `hybrid_jax.cli.audit`; see its docstring."""

from hybrid_jax.cli import audit, command

if __name__ == '__main__':
  command.run(audit.main)
