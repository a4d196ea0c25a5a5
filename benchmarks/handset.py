"""Measures what each cut costs the device, for the networks of all three tasks.

    python -m benchmarks.handset [--seconds=1] [--networks=vgg16,...] \
      [--out=FILE.json]

For each cut the edge is exported with a PCA to few numbers, and its file runs
in a fresh process with one thread. The last row of a network is the whole of it
on the device. Weights are random: what a file costs does not depend on them.
Needs the extra `export`. A network of 4096-wide layers has a file of half a
gigabyte, whose export takes a minute or two and some GiB of memory. The file is
written after each network.
"""

import dataclasses
import math
import pathlib
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from absl import flags

from hybrid_jax import errors, files, progress
from hybrid_jax.cli import command
from hybrid_jax.datasets import normalization
from hybrid_jax.deploy.export import (
  latency,
  operation_counts,
  split_functions,
  tflite,
)
from hybrid_jax.models import split_model
from hybrid_jax.release import mechanisms, pca
from hybrid_jax.study import summary

WHOLE = 'all'
_MIB = 2**20
_COLUMNS = (
  'network',
  'cut',
  'multiply-adds, million',
  'file, MiB',
  'load, ms',
  'first, ms',
  'p50, ms',
  'p95, ms',
  'memory, MiB',
  'features, KiB',
  'sent, bytes',
)


@dataclasses.dataclass(frozen=True)
class Network:
  """A network and the cuts to measure.

  Attributes:
    title: for the table.
    model: the name of the plug-in.
    options: its settings.
    example: the shape of an example.
    classes: the number of classes of the primary label.
    cuts: split point to the numbers that are released there.
  """

  title: str
  model: str
  options: dict[str, Any]
  example: tuple[int, ...]
  classes: int
  cuts: dict[str, int]


_VGG_CUTS = {
  'pool2': 8,
  'pool3': 8,
  'pool4': 8,
  'conv5_1': 8,
  'conv5_2': 6,
  'conv5_3': 4,
  'fc6': 4,
}
_VGG_S_CUTS = {'pool1': 8, 'pool2': 8, 'pool5': 8, 'fc6': 8, 'fc7': 6}

NETWORKS = {
  'watch': Network(
    'watch: cnn1d, 128 x 6',
    'cnn1d',
    {'kernel': 3},
    (1, 128, 6),
    7,
    {'conv1': 8, 'conv2': 8, 'conv3': 8, 'dense1': 6},
  ),
  'motionsense': Network(
    'MotionSense: cnn1d_deep, 128 x 6',
    'cnn1d_deep',
    {},
    (1, 128, 6),
    6,
    {'conv1': 8, 'conv2': 8, 'conv3': 8, 'conv4': 8, 'dense1': 6},
  ),
  'emotion': Network(
    'speech: VGG-S, 1/8 as wide, 40 x 128',
    'vgg_s',
    {'width': 0.125, 'dense': 64},
    (40, 128, 1),
    8,
    _VGG_S_CUTS,
  ),
  'vgg_s': Network(
    'faces: VGG-S as published, 224 x 224 x 3',
    'vgg_s',
    {},
    (224, 224, 3),
    7,
    _VGG_S_CUTS,
  ),
  'utkface': Network(
    'UTKFace: VGG-16, 1/4 as wide, 48 x 48',
    'vgg16',
    {'width': 0.25, 'dense': 64, 'norm': True},
    (48, 48, 1),
    2,
    _VGG_CUTS,
  ),
  'vgg16': Network(
    'faces: VGG-16 as published, 224 x 224 x 3',
    'vgg16',
    {},
    (224, 224, 3),
    2,
    _VGG_CUTS,
  ),
  'mobilenet': Network(
    'MobileNetV3, 224 x 224 x 3',
    'mobilenet',
    {},
    (224, 224, 3),
    2,
    {'block3': 8, 'block6': 8, 'block9': 8, 'pool': 8, 'dense': 8},
  ),
}


def measure(network: Network, seconds: float) -> list[dict[str, Any]]:
  """Measures all cuts of a network, and the whole network on the device.

  Args:
    network: the network.
    seconds: how long each file is called.

  Returns:
    For each cut a row: `title`, `cut`, `multiply_adds`, `file_bytes`,
    `features_bytes` of float32 features, `sent_bytes` of the released numbers
    as float32, and the entries of `latency_probe.measure`.
  """
  model = split_model.make(
    ml_collections.ConfigDict(
      {'name': network.model, 'options': network.options}
    ),
    network.classes,
  )
  example = jnp.zeros((1, *network.example))
  params = jax.device_get(split_model.init(model, jax.random.key(0), example))
  out = []
  for cut, numbers in [*network.cuts.items(), (WHOLE, 0)]:
    if cut == WHOLE:

      def function(x):
        return model.apply({'params': params}, x)

      features = 0
    else:
      split = _split(model, params, cut, numbers, network.example)
      function = split.edge_without_noise()
      features = math.prod(split.feature_shape)
    data = tflite.convert(function, {'x': example.shape}, 'released')
    with tempfile.TemporaryDirectory() as folder:
      path = pathlib.Path(folder) / 'edge.tflite'
      path.write_bytes(data)
      figures = latency.run(path, 1, seconds)
    out.append(
      {
        'title': network.title,
        'cut': cut,
        'multiply_adds': operation_counts.multiply_adds(function, example),
        'file_bytes': len(data),
        'features_bytes': 4 * features,
        'sent_bytes': 4 * numbers,
        **figures,
      }
    )
  return out


def _split(model, params, cut, numbers, example_shape):
  """The network cut in two, with a random projection as its PCA."""
  example = jnp.zeros((1, *example_shape))
  feature_shape = jax.eval_shape(
    split_model.Part(model, 'edge', cut), params, example
  ).shape[1:]
  rng = np.random.default_rng(0)
  size = math.prod(feature_shape)
  components = rng.standard_normal((numbers, size), dtype=np.float32)
  return split_functions.SplitFunctions(
    model=model,
    params=params,
    split_point=cut,
    normalizer=normalization.Normalizer(
      mean=np.float32(0.5), std=np.float32(0.25)
    ),
    release=mechanisms.Release(
      (pca.Pca(np.zeros(size, np.float32), components / math.sqrt(size)),)
    ),
    example_shape=example_shape,
    feature_shape=feature_shape,
  )


def table(rows: list[dict[str, Any]]) -> dict[str, list]:
  """Returns the columns and the rows of the table, as text."""
  lines, title = [], None
  for row in rows:
    is_new, title = row['title'] != title, row['title']
    lines.append(
      [
        title if is_new else '',
        row['cut'],
        _short(row['multiply_adds'] / 1e6),
        _short(row['file_bytes'] / _MIB),
        *(
          _short(row[key])
          for key in ('load_ms', 'first_ms', 'p50_ms', 'p95_ms')
        ),
        '' if row['own_mib'] is None else _short(row['own_mib']),
        _short(row['features_bytes'] / 2**10) if row['features_bytes'] else '',
        str(row['sent_bytes']),
      ]
    )
  return {'columns': list(_COLUMNS), 'rows': lines}


def _short(value):
  """Three digits, without an exponent."""
  if value >= 100:
    return f'{value:.0f}'
  return f'{value:.3g}'


def main(argv: list[str]) -> None:
  """Prints a line for each cut."""
  command.no_more(argv)
  given = flags.FLAGS
  names = given.networks or list(NETWORKS)
  for name in names:
    errors.check_known('network', name, NETWORKS, '--networks')
  rows, started = [], time.monotonic()
  with progress.Progress('handset', len(names), unit='network') as bar:
    for name in names:
      rows += measure(NETWORKS[name], given.seconds)
      bar.advance(1, last=name, p50_ms=rows[-1]['p50_ms'])
      if given.out:  # After each network: the large ones take minutes.
        origin = summary.describe_run() | {
          'seconds': round(time.monotonic() - started)
        }
        files.write_json(
          pathlib.Path(given.out),
          {
            'origin': origin,
            'config': {'seed': 0},
            'rows': rows,
            'tables': {'handset': table(rows)},
          },
        )
  result = table(rows)
  for line in [result['columns'], *result['rows']]:
    print(' | '.join(line))


if __name__ == '__main__':
  flags.DEFINE_float('seconds', 1.0, 'How long each file is called.', 0.0)
  flags.DEFINE_list('networks', [], f'Some of {", ".join(NETWORKS)}.')
  flags.DEFINE_string('out', None, 'A JSON file for the table.')
  command.run(main)
