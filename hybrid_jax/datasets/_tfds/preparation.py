"""Imports TFDS when it is needed, and prepares data sets with it."""

import contextlib
import os
import pathlib
import sys
import tempfile
import types
from typing import Any

from hybrid_jax import errors, progress


def import_tfds() -> types.ModuleType:
  """Returns the package `tensorflow_datasets`; TensorFlow is not imported.

  Raises:
    UserError: the package is not installed.
  """
  try:
    import tensorflow_datasets
  except ImportError as e:
    raise errors.UserError(
      f'this data set is read with TFDS, which cannot be imported ({e}): pip'
      ' install tensorflow-datasets importlib_resources.'
    ) from e
  return tensorflow_datasets


def expand_data_dir(setting: str) -> str | None:
  """Returns the folder with `~` expanded, or `None` for TFDS's own folder.

  Args:
    setting: `data.data_dir` of the config.
  """
  return os.path.expanduser(setting) if setting else None


def prepare(builder: Any, manual_dir: pathlib.Path | None = None) -> None:
  """Downloads and prepares a data set, unless its folder exists.

  After an error no new empty folder is left. Files that TFDS downloaded may
  stay, for the next attempt.

  Args:
    builder: a `tfds.core.DatasetBuilder`.
    manual_dir: the files that the user downloaded. Then TFDS downloads nothing.

  Raises:
    UserError: from the builder, or the operating system cannot write.
  """
  target = pathlib.Path(builder.data_dir)
  if target.exists():
    return
  progress.say(f'data: preparing {builder.info.full_name} in {target}')
  with contextlib.ExitStack() as stack:
    # TFDS prints; the standard output belongs to the command.
    stack.enter_context(contextlib.redirect_stdout(sys.stderr))
    stack.enter_context(_remove_new_folders(target))
    arguments = {}
    if manual_dir is not None:
      arguments['download_dir'] = stack.enter_context(
        tempfile.TemporaryDirectory()
      )
    try:
      builder.download_and_prepare(
        download_config=import_tfds().download.DownloadConfig(
          manual_dir=manual_dir, try_download_gcs=False
        ),
        **arguments,
      )
    except OSError as e:
      # If another process prepared the same data in the meantime, all is well.
      if not target.exists():
        raise errors.UserError(
          f'could not prepare {target}: {e.strerror or e}.'
        ) from e


@contextlib.contextmanager
def _remove_new_folders(target):
  """Removes the parent folders of `target` that an error leaves empty."""
  new = [path for path in target.parents if not path.exists()]
  try:
    yield
  except BaseException:
    for path in new:
      with contextlib.suppress(OSError):
        path.rmdir()
    raise
