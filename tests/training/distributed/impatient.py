"""Runs a study whose processes wait a second for each other's files."""

import os

from hybrid_jax.cli import command, process_group, study

if __name__ == '__main__':
  if process_group._CHILD in os.environ:  # The parent waits for no file.
    from hybrid_jax.training import distributed

    distributed._FILE_WAIT_SECONDS = 1.0
  command.run(study.main)
