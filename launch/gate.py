"""Runs `hybrid_jax.cli.gate`; see its docstring."""

from hybrid_jax.cli import command, gate

if __name__ == '__main__':
  command.run(gate.main, gate.MISTAKE)
