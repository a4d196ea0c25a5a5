"""The recommended point as files for a device, and what each cut costs."""

import hashlib
import pathlib
from importlib import metadata

import jax.numpy as jnp
import numpy as np

from hybrid_jax import files, progress, sources
from hybrid_jax.datasets import base as datasets
from hybrid_jax.export import cost, device, halves, parity, tflite
from hybrid_jax.models import base as models
from hybrid_jax.report import rows
from hybrid_jax.stages import base, release

_PARITY_WINDOWS = 64


def run(study: base.Study) -> None:
  """Writes `bundle/`, and `results/export.json` with the cost of every cut."""
  table = rows.gather(study)
  point = rows.recommend(table, study.config.recommend.utility_loss)
  bundle = study.workdir / 'bundle'
  if study.result('export').exists() and (bundle / 'manifest.json').exists():
    return
  cuts = {}
  with progress.Progress(
    'export', len(study.split_points), unit='split point'
  ) as bar:
    for split_point in study.split_points:
      embedding = _embedding(study, split_point, point)
      cut = make_halves(study, split_point, embedding)
      edge_file = tflite.convert(cut.edge(), cut.edge_inputs(), 'released')
      cuts[split_point] = _cost(cut, edge_file) | {'embedding': embedding}
      if split_point == point['split_point']:
        cuts[split_point] |= _write_bundle(
          study, bundle, cut, edge_file, point, table
        )
      bar.advance(1, edge_bytes=len(edge_file))
  files.write_json(
    study.result('export'),
    {'recommended': point['split_point'], 'split_points': cuts},
  )


def make_halves(
  study: base.Study, split_point: str, embedding: str
) -> halves.Halves:
  """The trained network cut at `split_point`, released as `embedding`."""
  weights = study.config.release.embeddings[embedding].weights
  features = study.features(weights, split_point)
  return halves.Halves(
    model=study.model,
    params=study.params(weights, split_point),
    split_point=split_point,
    normalizer=study.normalizer,
    release=release.fitted(study, split_point, embedding, features),
    example_shape=study.x.shape[1:],
    feature_shape=features.shape[1:],
  )


def _embedding(study, split_point, point):
  """The recommended one, or the study's last that this cut has."""
  there = [n for n in study.embeddings if split_point in study.points(n)]
  return point['embedding'] if point['embedding'] in there else there[-1]


def _cost(cut, edge_file):
  edge_params, cloud_params = models.split_params(
    cut.model, cut.params, cut.split_point
  )
  inputs = [jnp.zeros(shape) for shape in cut.edge_inputs().values()]
  return {
    'edge_bytes': len(edge_file),
    'edge_parameters': cost.parameters(edge_params),
    'cloud_parameters': cost.parameters(cloud_params),
    'edge_multiply_adds': cost.multiply_adds(cut.edge(), *inputs),
    'cloud_multiply_adds': cost.multiply_adds(
      cut.cloud(), jnp.zeros((1, cut.dim))
    ),
    'released_numbers': cut.dim,
    'released_bytes': 4 * cut.dim,
    'raw_bytes': 4 * int(np.prod(cut.example_shape)),
  }


def _write_bundle(study, bundle, cut, edge_file, point, table):
  cloud_file = tflite.convert(cut.cloud(), {'released': (1, cut.dim)}, 'logits')
  test = np.flatnonzero(study.rows(datasets.TEST))
  chosen = test[:: max(1, len(test) // _PARITY_WINDOWS)][:_PARITY_WINDOWS]
  agreement = parity.check(
    cut,
    edge_file,
    cloud_file,
    sources.read(sources.take(study.data.x, chosen)),
    study.config.seed,
  )
  files.write_bytes(bundle / 'edge.tflite', edge_file)
  files.write_bytes(bundle / 'cloud.tflite', cloud_file)
  source = pathlib.Path(device.__file__).read_bytes()
  files.write_bytes(bundle / 'device.py', source)
  files.write_json(
    bundle / 'manifest.json',
    _manifest(study, cut, edge_file, cloud_file, point, table)
    | {'parity': agreement},
  )
  return {'cloud_bytes': len(cloud_file), 'parity': agreement}


def _manifest(study, cut, edge_file, cloud_file, point, table):
  row = rows.find(table, point)
  units = {
    'x': ', '.join(study.data.channels) or 'as in the data set',
    'noise': 'standard normal, fresh for each input; see device.py',
  }
  return {
    'format': 1,
    'edge': _describe(
      'edge.tflite',
      edge_file,
      {
        name: {'shape': list(shape), 'dtype': 'float32', 'units': units[name]}
        for name, shape in cut.edge_inputs().items()
      },
      {'released': {'shape': [1, cut.dim], 'dtype': 'float32'}},
    ),
    'cloud': _describe(
      'cloud.tflite',
      cloud_file,
      {'released': {'shape': [1, cut.dim], 'dtype': 'float32'}},
      {
        'logits': {
          'shape': [1, len(study.data.primary_names)],
          'dtype': 'float32',
        }
      },
    ),
    'labels': list(study.data.primary_names),
    'model': study.config.model.name,
    'split_point': point['split_point'],
    'embedding': point['embedding'],
    'grid': cut.grid,
    'sigma': row['sigma'],
    'relative_noise': row['relative_noise'],
    'figures': {
      'utility': row['utility'],
      'leakage': rows.public(row)['leakage'],
    },
    'tested_with': {
      'ai_edge_litert': metadata.version('ai-edge-litert'),
    },
  }


def _describe(name, data, inputs, outputs):
  return {
    'file': name,
    'bytes': len(data),
    'sha256': hashlib.sha256(data).hexdigest(),
    'least_litert_version': tflite.least_version(data),
    'operations': tflite.operations(data),
    'inputs': inputs,
    'outputs': outputs,
  }
