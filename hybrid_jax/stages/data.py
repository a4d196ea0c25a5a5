"""Reads and checks the data, and says what it holds."""

import numpy as np

from hybrid_jax import files, progress
from hybrid_jax.datasets import base as datasets
from hybrid_jax.stages import base


def run(study: base.Study) -> None:
  """Writes `results/data.json`: shapes, class counts by fold, normalization."""
  data = study.data
  names = {'primary': data.primary_names, **data.sensitive_names}
  folds = {
    name: int(study.rows(i).sum()) for i, name in enumerate(datasets.FOLDS)
  }
  counts = {
    label: {
      fold: np.bincount(
        values[study.rows(i)], minlength=len(names[label])
      ).tolist()
      for i, fold in enumerate(datasets.FOLDS)
    }
    for label, values in data.labels().items()
  }
  files.write_json(
    study.result('data'),
    {
      'examples': folds,
      'recordings': len(np.unique(data.recording)),
      'shape': list(data.x.shape[1:]),
      'channels': list(data.channels),
      'classes': {label: list(values) for label, values in names.items()},
      'counts': counts,
      'mean': study.normalizer.mean.tolist(),
      'std': study.normalizer.std.tolist(),
    },
  )
  progress.say(
    f'data: {len(data.x)} windows of shape {data.x.shape[1:]} from'
    f' {len(np.unique(data.recording))} recordings; '
    + ', '.join(f'{n} {fold}' for fold, n in folds.items())
  )
