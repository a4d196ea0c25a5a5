"""Runs `hybrid_jax.cli.gate`, which says how it is called."""

from hybrid_jax.cli import command, gate

if __name__ == '__main__':
  command.run(gate.main, gate.MISTAKE)
