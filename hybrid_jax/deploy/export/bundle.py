"""A bundle: both halves as files, what they are, and how to run the edge."""

import dataclasses
import hashlib
import pathlib
from importlib import metadata
from typing import Any

import numpy as np

from hybrid_jax import errors, files
from hybrid_jax.datasets import dataset, sources
from hybrid_jax.deploy.export import (
  device,
  half_files,
  manifest,
  parity,
  split_functions,
  tflite,
  variants,
)
from hybrid_jax.report import rows
from hybrid_jax.study import context, results

_FORMATS = (1, manifest.FORMAT)
NOISE = ('input', 'inside')
_EXAMPLES = 128  # training windows, by which int8 is scaled
_WINDOWS = {'float32': 64}  # test windows of the comparison; else
_MANY_WINDOWS = 256
_OTHER = {'edge': 'cloud', 'cloud': 'edge'}


@dataclasses.dataclass(frozen=True)
class Bundle:
  """A bundle that was read and found whole.

  Attributes:
    folder: where it lies.
    manifest: what it says of itself.
    edge: the bytes of `edge.tflite`.
    cloud: the bytes of `cloud.tflite`.
  """

  folder: pathlib.Path
  manifest: dict[str, Any]
  edge: bytes
  cloud: bytes

  @property
  def variant(self) -> str:
    """One of `variants.VARIANTS`."""
    return self.manifest.get('variant', 'float32')


def write(
  study: context.Study,
  split_point: str,
  embedding: str,
  variant: str,
  folder: pathlib.Path,
  noise: str = 'input',
  int8_input: bool = False,
  batch: int = 1,
) -> dict[str, Any]:
  """Writes the bundle of a row of a study that was attacked.

  Args:
    study: a finished one.
    split_point: one of its split points.
    embedding: one that it has there.
    variant: one of `variants.VARIANTS`. In float32 the files must equal the
      network; of others the manifest says under `parity` how far they are off.
    folder: where the files go.
    noise: one of `NOISE`: an input of the edge, drawn by `device.py`, or drawn
      inside of it by LiteRT, only in float32 and only to show that this is not
      private.
    int8_input: the edge takes windows in 8 bits; the manifest has their scale.
    batch: if not 1, the cloud is there a second time with this batch, for
      servers that run several vectors at once and cannot resize a file.

  Returns:
    The manifest.

  Raises:
    UserError: the row, the variant or the noise is not known, a stage was not
      run, or the files do not equal the network.
  """
  errors.check_known('variant', variant, variants.VARIANTS)
  errors.check_known('noise', noise, NOISE)
  if batch < 1:
    raise errors.UserError(f'the batch is {batch}; it must be 1 or more.')
  inside = noise == 'inside'
  cut = split_functions.make(study, split_point, embedding)
  if inside and (variant != 'float32' or cut.grid is None):
    raise errors.UserError(
      f'noise inside of the edge is for float32 and an embedding with noise,'
      f' not for {variant} and {embedding!r}.'
    )
  row = rows.find(
    results.gather(study), {'split_point': split_point, 'embedding': embedding}
  )
  seed = study.config.seed
  made = half_files.examples(cut, some(study, dataset.TRAIN), seed)
  network = half_files.network(cut, variant, made, int8_input)
  edge_file = half_files.edge(cut, network)
  cloud_file = half_files.cloud(cut, variant, made)
  windows = _WINDOWS.get(variant, _MANY_WINDOWS)
  agreement = parity.check(
    cut,
    edge_file,
    half_files.edge(cut, network, rounded=False),
    cloud_file,
    some(study, dataset.TEST, windows),
    seed,
    exact=variant == 'float32',
  )
  if inside:
    edge_file = half_files.edge(cut, network, inside=True)
  described = manifest.make(
    study, cut, edge_file, cloud_file, row, made.released
  ) | {'variant': variant, 'noise': noise, 'parity': agreement}
  contents = {
    'edge.tflite': edge_file,
    'cloud.tflite': cloud_file,
    'device.py': pathlib.Path(device.__file__).read_bytes(),
  }
  if batch > 1:
    name = f'cloud-batch{batch}.tflite'
    contents[name] = half_files.cloud(cut, variant, made, batch)
    described['cloud_batched'] = manifest.batched(
      described['cloud'], name, contents[name], batch
    )
  contents['manifest.json'] = files.encode_json(described)
  files.write_files(folder, contents)
  for old in folder.glob('cloud-batch*.tflite'):
    if old.name not in contents:
      old.unlink()
  return described


def read(folder: pathlib.Path) -> Bundle:
  """Reads a bundle, and checks that it is whole and runs here.

  Raises:
    UserError: a file is not there or is not the one that the manifest
      describes, the halves are not of one pair, or the installed LiteRT does
      not take them.
  """
  path = folder / 'manifest.json'
  manifest = files.read_json(path)
  found = manifest.get('format') if isinstance(manifest, dict) else None
  if found not in _FORMATS:
    raise errors.UserError(
      f'{path} has the format {found!r}; this version reads'
      f' {", ".join(map(str, _FORMATS))}.'
    )
  data = {name: _read_half(folder, manifest, name) for name in _OTHER}
  for name, other in _OTHER.items():
    pair, sha256 = (
      manifest[name].get('paired_with'),
      manifest[other].get('sha256'),
    )
    if pair not in (None, sha256):
      raise errors.UserError(
        f'{folder} holds halves of two bundles: its {name} was made with a'
        f' {other} of sha256 {pair}, and here is {sha256}.'
      )
  _check_same(
    folder,
    'the edge releases',
    manifest['edge']['outputs'],
    'the cloud takes',
    manifest['cloud']['inputs'],
  )
  return Bundle(folder, manifest, data['edge'], data['cloud'])


def some(study: context.Study, fold: int, count: int = _EXAMPLES) -> np.ndarray:
  """At most `count` of a fold's examples, evenly over it, in sensor units."""
  there = np.flatnonzero(study.rows(fold))
  chosen = there[:: max(1, len(there) // count)][:count]
  return sources.read_rows(study.data.x, chosen)


def _read_half(folder, manifest, name):
  described = manifest.get(name)
  if not isinstance(described, dict) or not isinstance(
    described.get('file'), str
  ):
    raise errors.UserError(
      f'{folder / "manifest.json"} describes no {name} half.'
    )
  path = folder / described['file']
  if path.parent != folder:
    raise errors.UserError(f'{path} is outside of {folder}.')
  try:
    data = path.read_bytes()
  except OSError as e:
    raise errors.UserError(f'could not read {path}: {e.strerror}.') from e
  found = hashlib.sha256(data).hexdigest()
  if found != described.get('sha256'):
    raise errors.UserError(
      f'{path} has sha256 {found}; the manifest says {described.get("sha256")}.'
    )
  _check_runs(path, data, described)
  return data


def _check_runs(path, data, described):
  """Refuses a file that the installed LiteRT does not take, or other shapes.

  A file states the least runtime in the numbers of TensorFlow, which those of
  LiteRT do not continue: 2.3 of LiteRT is newer than 2.17 of TensorFlow. So
  only loading the file tells.
  """
  try:
    interpreter = tflite.load(data)
  except (ValueError, RuntimeError) as e:
    needed = described.get('least_litert_version', 'unknown')
    raise errors.UserError(
      f'{path} needs a runtime of at least TensorFlow Lite {needed};'
      f' ai-edge-litert {metadata.version("ai-edge-litert")}, which is'
      f' installed, does not take it: {str(e).splitlines()[0]}'
    ) from e
  (signature,) = interpreter.get_signature_list().values()
  runner = interpreter.get_signature_runner()
  details = {
    'inputs': runner.get_input_details(),
    'outputs': runner.get_output_details(),
  }
  for key in ('inputs', 'outputs'):
    there = {
      name: {
        'shape': details[key][name]['shape'].tolist(),
        'dtype': np.dtype(details[key][name]['dtype']).name,
      }
      for name in signature[key]
    }
    _check_same(
      path, f'it has the {key}', there, 'its manifest says', described.get(key)
    )


def _check_same(path, has, found, says, stated):
  """Compares names, shapes and types of tensors, not their units."""
  one, other = (
    {
      name: {k: spec.get(k) for k in ('shape', 'dtype')}
      for name, spec in (tensors or {}).items()
    }
    for tensors in (found, stated)
  )
  if one != other:
    raise errors.UserError(f'{path}: {has} {one}, but {says} {other}.')
