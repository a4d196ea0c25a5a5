"""Writes the bundle of any row of a finished study.

python -m launch.export --workdir=runs/watch --split_point=conv3
  --embedding=noisy_reduced_siamese --variant=int8 --out=runs/watch-int8

The row is the recommended one where --split_point and --embedding are left out.
"""

import pathlib

from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command
from hybrid_jax.study import results

_WORKDIR = flags.DEFINE_string('workdir', None, 'Of a finished study.')
_SPLIT_POINT = flags.DEFINE_string('split_point', None, 'Where it is cut.')
_EMBEDDING = flags.DEFINE_string('embedding', None, 'What is released there.')
_VARIANT = flags.DEFINE_string(
  'variant', 'float32', 'float32, float16, dynamic or int8.'
)
_OUT = flags.DEFINE_string('out', None, 'The folder of the bundle.')
_NOISE = flags.DEFINE_string(
  'noise', 'input', "'input', or 'inside', which is for tests: not private."
)
_INT8_INPUT = flags.DEFINE_bool(
  'int8_input', False, 'The edge of int8 takes windows in 8 bits.'
)
_BATCH = flags.DEFINE_integer(
  'batch', 1, 'The cloud a second time, as a file of this batch.'
)
_SAVED_MODEL = flags.DEFINE_string(
  'saved_model', None, 'A folder for the cloud half as a SavedModel, too.'
)
_JAX_EXPORT = flags.DEFINE_string(
  'jax_export', None, 'A file for the cloud half as StableHLO for JAX, too.'
)


def main(argv: list[str]) -> None:
  """Writes it, and prints its sizes and how well it agrees with the network."""
  command.no_more(argv)
  if not (_WORKDIR.value and _OUT.value):
    raise errors.UserError('--workdir and --out are needed; see --help.')
  command.set_up_jax()
  from hybrid_jax.deploy.export import bundle, cloud_models, split_functions
  from hybrid_jax.report import rows
  from hybrid_jax.study import runner  # After the flags: it takes seconds.

  opened = runner.open_study(pathlib.Path(_WORKDIR.value))
  split_point, embedding = _SPLIT_POINT.value, _EMBEDDING.value
  if not (split_point and embedding):
    if split_point or embedding:
      raise errors.UserError(
        '--split_point and --embedding are given together, or neither.'
      )
    point = rows.recommend(
      results.gather(opened), opened.config.recommend.utility_loss
    )
    split_point, embedding = point['split_point'], point['embedding']
  if _NOISE.value == 'inside':
    print(
      'WARNING: LiteRT seeds its random operation with 32 bits, so whoever'
      ' sees a few releases can try every seed and take the noise away.'
    )
  folder = pathlib.Path(_OUT.value)
  if _SAVED_MODEL.value and pathlib.Path(_SAVED_MODEL.value).exists():
    raise errors.UserError(
      f'{_SAVED_MODEL.value} exists already; name another --saved_model.'
    )
  manifest = bundle.write(
    opened,
    split_point,
    embedding,
    _VARIANT.value,
    folder,
    _NOISE.value,
    _INT8_INPUT.value,
    _BATCH.value,
  )
  print(_told(folder, manifest))
  if _SAVED_MODEL.value or _JAX_EXPORT.value:
    cut = split_functions.make(opened, split_point, embedding)
    if _SAVED_MODEL.value:
      cloud_models.write_saved_model(cut, pathlib.Path(_SAVED_MODEL.value))
      print(f'{_SAVED_MODEL.value}: the cloud half for TensorFlow Serving')
    if _JAX_EXPORT.value:
      cloud_models.write_jax_export(cut, pathlib.Path(_JAX_EXPORT.value))
      print(f'{_JAX_EXPORT.value}: the cloud half for jax.export')


def _told(folder, manifest):
  parity = manifest['parity']
  return '\n'.join(
    [
      f'{folder}: {manifest["split_point"]} {manifest["embedding"]},'
      f' {manifest["variant"]}',
      *(
        f'  {manifest[half]["file"]}: {manifest[half]["bytes"]:,} bytes'
        for half in ('edge', 'cloud')
      ),
      f'  same label as the network: {parity["agreement"]:.1%} of'
      f' {parity["windows"]} test windows',
      f'  error before the grid: {parity["edge_rms_error"]:.2g} of the rms of'
      ' what is released',
    ]
  )
