"""Trains the small network in several processes."""

from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command, process_group

_FOLDER = flags.DEFINE_string('folder', '', 'Folder of the training.')
_TOTAL = flags.DEFINE_integer('total', 10, 'Steps.')
_STREAM = flags.DEFINE_bool('stream', False, 'Read the examples in batches.')
_PAUSE = flags.DEFINE_float('pause', 0.0, 'Seconds of each validation.')
_BATCH = flags.DEFINE_integer('batch', 16, 'Examples in a step.')
_FAIL = flags.DEFINE_string('fail', '', 'The error to raise: second or disk.')


def _work():
  # JAX and these are imported here, since the parent process only waits.
  command.set_up_jax()
  import jax

  from hybrid_jax.training import checkpoint
  from tests.training.distributed import small

  def full(folder, state):
    raise OSError(28, 'No space left on device')

  if _FAIL.value == 'second' and jax.process_index() == 1:
    raise errors.UserError('the second process has an error.')
  if _FAIL.value == 'disk':
    checkpoint._check_room = full
  small.fit(
    _FOLDER.value,
    _TOTAL.value,
    stream=_STREAM.value,
    pause=_PAUSE.value,
    batch=_BATCH.value,
  )


def main(argv):
  command.no_more(argv)
  process_group.run(_work)


if __name__ == '__main__':
  command.run(main)
