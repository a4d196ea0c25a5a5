"""A tiny bundle with its page: the edge half, windows and attackers."""

import dataclasses
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import sklearn.linear_model
import sklearn.neural_network
import sklearn.pipeline
import sklearn.preprocessing

from hybrid_jax.datasets import normalization
from hybrid_jax.deploy.export import split_functions
from hybrid_jax.models import cnn1d
from hybrid_jax.release import mechanisms, noise, pca
from hybrid_jax.study import page_attacker
from tests.deploy import bundles

LABELS = ['sit', 'walk', 'run']
CHANNELS = [
  f'{kind} {axis} ({unit})'
  for kind, unit in (('acceleration', 'g'), ('rotation', 'rad/s'))
  for axis in 'xyz'
]
TIME, PEOPLE, SESSION = 32, 3, 8
LOG_PRIOR = [-1.0, -4.0, -7.0]  # of each person, for the attackers


@dataclasses.dataclass
class Site:
  """A folder as `hybrid_jax.study.page_demo.prepare` writes it.

  Attributes:
    folder: for `--page`; its `bundle` is for `--bundle`.
    cut: the private halves.
    live: what `live.json` holds.
    windows: `[n, 1, time, 6]`.
    attackers: `private` and `open`, as scikit-learn has them.
  """

  folder: pathlib.Path
  cut: split_functions.SplitFunctions
  live: dict
  windows: np.ndarray
  attackers: dict

  @property
  def bundle(self) -> pathlib.Path:
    return self.folder / 'bundle'


def make(folder: pathlib.Path) -> Site:
  """Writes it; one in four windows has a label that the cloud cannot find."""
  rng = np.random.default_rng(0)
  private, opened = _cuts()
  count = PEOPLE * SESSION
  windows = rng.standard_normal((count, 1, TIME, 6)).astype(np.float32)
  clean = jax.jit(opened.edge())
  features = np.concatenate([np.asarray(clean(x[None])) for x in windows])
  silent = jax.jit(private.edge(rounded=False))
  released = np.concatenate(
    [np.asarray(silent(x[None], jnp.zeros(4))) for x in windows]
  )
  answers = np.asarray(jax.jit(private.cloud())(released)).argmax(-1)
  primary = np.where(np.arange(count) % 4 == 0, (answers + 1) % 3, answers)
  person = np.arange(count) // SESSION
  attackers = {
    'private': _fit(
      sklearn.linear_model.LogisticRegression(), released, person
    ),
    'open': _fit(
      sklearn.neural_network.MLPClassifier((5,), random_state=0, tol=1e-2),
      features,
      person,
    ),
  }
  manifest = bundles.write(folder / 'bundle', private, LABELS)
  bundles.write(folder / 'open', opened, LABELS)
  figure = {'value': 0.75, 'low': 0.7, 'high': 0.8, 'chance': 1 / 3}
  live = {
    'edge_sha256': manifest['edge']['sha256'],
    'labels': LABELS,
    'attribute': 'person',
    'names': [str(i + 1) for i in range(PEOPLE)],
    'channels': CHANNELS,
    'rate': 50,
    'utility': figure,
    'strongest': {'private': figure, 'open': figure},
    'windows': [
      {'primary': int(a), 'sensitive': int(b), 'session': int(b)}
      for a, b in zip(primary, person, strict=True)
    ],
    'attackers': {
      side: page_attacker.as_layers(fitted)
      | {
        'kind': 'attacker',
        'log_prior': LOG_PRIOR,
        'accuracy': figure,
        'accuracy_by_count': {},
      }
      for side, fitted in attackers.items()
    },
  }
  (folder / 'live.json').write_text(json.dumps(live))
  (folder / 'windows.f32').write_bytes(windows.astype('<f4').tobytes())
  return Site(folder, private, live, windows, attackers)


def _fit(classifier, x, y):
  return sklearn.pipeline.make_pipeline(
    sklearn.preprocessing.StandardScaler(), classifier
  ).fit(x, y)


def _cuts():
  model = cnn1d.Model(classes=3, widths=(4, 4, 4), dense=8)
  params = model.init(jax.random.key(0), jnp.zeros((1, 1, TIME, 6)))['params']
  rows = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
  mechanism = pca.Pca(
    mean=jnp.zeros(8), components=jnp.asarray(rows[:4], jnp.float32)
  )
  added = noise.Noise(scale=0.2 * jnp.eye(4))
  return tuple(
    split_functions.SplitFunctions(
      model=model,
      params=params,
      split_point='dense1',
      normalizer=normalization.Normalizer(np.zeros(6), np.ones(6)),
      release=mechanisms.Release(chain),
      example_shape=(1, TIME, 6),
      feature_shape=(8,),
    )
    for chain in ((mechanism, added), ())
  )
