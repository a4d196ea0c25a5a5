"""The files of a study: released vectors and results of its stages."""

import dataclasses
import pathlib

from hybrid_jax import errors, files
from hybrid_jax.training import distributed


@dataclasses.dataclass(frozen=True)
class Workdir:
  """Work directory of a study.

  Attributes:
    workdir: the folder of all files that the study writes.
  """

  workdir: pathlib.Path

  def released_path(self, split_point: str, embedding: str) -> pathlib.Path:
    """Returns the path of the released vectors of an embedding."""
    return self.workdir / f'released/{split_point}-{embedding}.npz'

  def result(self, *names: str) -> pathlib.Path:
    """Returns the path of a stage's result: folders, and the file's name."""
    *folders, name = names
    return self.workdir.joinpath('results', *folders, f'{name}.json')

  def require(self, path: pathlib.Path, stage: str) -> pathlib.Path:
    """Returns `path` if it exists.

    Args:
      path: a file that an earlier stage writes.
      stage: the name of that stage.

    Raises:
      UserError: the file does not exist; the message names the stage.
    """
    distributed.wait_for_file(path)
    if not path.exists():
      raise errors.UserError(
        f'{path} does not exist; run --stages={stage} first.'
      )
    return path

  def read(self, *names: str, stage: str) -> dict:
    """Reads the result of an earlier stage; see `result` and `require`."""
    return files.read_json(self.require(self.result(*names), stage))
