"""Exports a row of a finished study as a bundle for device and cloud.

    hybrid-jax export --workdir=runs/watch --split_point=conv3
      --embedding=noisy_reduced_siamese --variant=int8 --out=runs/watch-int8

Without --split_point and --embedding it exports the recommended row.
"""

import pathlib

from absl import flags

from hybrid_jax import errors
from hybrid_jax.cli import command
from hybrid_jax.study import results

_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'The work directory of a finished study.'
)
_SPLIT_POINT = flags.DEFINE_string(
  'split_point', None, 'The split point of the row.'
)
_EMBEDDING = flags.DEFINE_string('embedding', None, 'The embedding of the row.')
_VARIANT = flags.DEFINE_string(
  'variant', 'float32', 'float32, float16, dynamic or int8.'
)
_OUT = flags.DEFINE_string('out', None, 'The folder for the bundle.')
_INT8_INPUT = flags.DEFINE_bool(
  'int8_input', False, 'With int8: the edge takes 8-bit windows.'
)
_MIN_AGREEMENT = flags.DEFINE_float(
  'min_agreement',
  0.95,
  'The share of test windows for which the files must give the label of the'
  ' network; else nothing is written.',
  lower_bound=0.0,
  upper_bound=1.0,
)
_SAVED_MODEL = flags.DEFINE_string(
  'saved_model',
  None,
  'A new folder: also writes the cloud half as a SavedModel for TensorFlow.',
)
_JAX_EXPORT = flags.DEFINE_string(
  'jax_export',
  None,
  'A file: also writes the cloud half as StableHLO for jax.export.',
)


def main(argv: list[str]) -> None:
  """Writes the bundle, and prints its sizes and its agreement with JAX."""
  command.no_more(argv)
  if not (_WORKDIR.value and _OUT.value):
    raise errors.UserError('--workdir and --out are needed; see --help.')
  command.set_up_jax()
  # Imported here, because it takes seconds: mistakes in flags are shown first.
  from hybrid_jax.deploy.export import cloud_models
  from hybrid_jax.study import deployment, runner, workdir_lock

  study = runner.open_study(pathlib.Path(_WORKDIR.value))
  split_point, embedding = _SPLIT_POINT.value, _EMBEDDING.value
  if not (split_point and embedding):
    if split_point or embedding:
      raise errors.UserError(
        'give both --split_point and --embedding, or neither.'
      )
    point = results.recommend(study)
    split_point, embedding = point['split_point'], point['embedding']
  folder = pathlib.Path(_OUT.value)
  if _SAVED_MODEL.value and pathlib.Path(_SAVED_MODEL.value).exists():
    raise errors.UserError(
      f'{_SAVED_MODEL.value} exists already; name another --saved_model.'
    )
  with workdir_lock.hold(folder):
    manifest = deployment.write_bundle(
      study,
      split_point,
      embedding,
      _VARIANT.value,
      folder,
      _INT8_INPUT.value,
      _MIN_AGREEMENT.value,
    )
  print(_summary(folder, manifest))
  if _SAVED_MODEL.value or _JAX_EXPORT.value:
    split = deployment.split_network(study, split_point, embedding)
    if _SAVED_MODEL.value:
      cloud_models.write_saved_model(split, pathlib.Path(_SAVED_MODEL.value))
      print(f'{_SAVED_MODEL.value}: the cloud half for TensorFlow Serving')
    if _JAX_EXPORT.value:
      cloud_models.write_jax_export(split, pathlib.Path(_JAX_EXPORT.value))
      print(f'{_JAX_EXPORT.value}: the cloud half for jax.export')


def _summary(folder, manifest):
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
      f'  error before the rounding: {parity["edge_rms_error"]:.2g} of the rms'
      ' of the released vectors',
    ]
  )
