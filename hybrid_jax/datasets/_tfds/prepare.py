"""TFDS, imported where it is needed; what it prepares is whole or not there."""

import contextlib
import os
import pathlib
import sys
import tempfile
import types
from typing import Any

from hybrid_jax import errors, progress


def library() -> types.ModuleType:
  """The package `tensorflow_datasets`; it does not import TensorFlow.

  Raises:
    UserError: it is not installed.
  """
  try:
    import tensorflow_datasets
  except ImportError as e:
    raise errors.UserError(
      f'this data set is read with TFDS, which cannot be imported ({e}): pip'
      ' install tensorflow-datasets importlib_resources.'
    ) from e
  return tensorflow_datasets


def data_dir(setting: str) -> str | None:
  """A config's `data_dir` with `~` written out, or None for TFDS's own."""
  return os.path.expanduser(setting) if setting else None


def prepare(builder: Any, manual_dir: pathlib.Path | None = None) -> None:
  """Downloads and prepares a TFDS builder's data, unless they are there.

  Args:
    builder: a `tfds.core.DatasetBuilder`.
    manual_dir: what was got by hand; nothing is downloaded then, and no folder
      for downloads is left.

  Raises:
    UserError: the builder's own, or the disk refuses. Nothing is left of what
      was half done, empty folders included.
  """
  target = pathlib.Path(builder.data_dir)
  if target.exists():
    return
  progress.say(f'data: preparing {builder.info.full_name} in {target}')
  new = [path for path in target.parents if not path.exists()]
  with contextlib.ExitStack() as stack:
    # TFDS prints; the standard output belongs to the command.
    stack.enter_context(contextlib.redirect_stdout(sys.stderr))
    arguments = {}
    if manual_dir is not None:
      arguments['download_dir'] = stack.enter_context(
        tempfile.TemporaryDirectory()
      )
    try:
      builder.download_and_prepare(
        download_config=library().download.DownloadConfig(
          manual_dir=manual_dir, try_download_gcs=False
        ),
        **arguments,
      )
    except BaseException as e:
      for path in new:
        with contextlib.suppress(OSError):
          path.rmdir()
      if not isinstance(e, OSError):
        raise
      # Of two studies that prepare at once, the second finds it done.
      if not target.exists():
        raise errors.UserError(
          f'could not prepare {target}: {e.strerror or e}.'
        ) from e
