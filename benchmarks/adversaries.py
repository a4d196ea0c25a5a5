"""Many adversaries in one program, compared with one after the other.

Each is a multilayer perceptron of the larger size of the watch study. It trains
for 200 steps; the study takes up to 700. PyTorch and scikit-learn train only a
few, and their time is scaled.
"""

import statistics
import warnings
from typing import Any

import numpy as np
from sklearn import exceptions, neural_network

from benchmarks import timing
from configs import watch
from hybrid_jax import progress
from hybrid_jax.training import heads

COUNTS = (1, 4, 16, 64, 256)
_GOAL, _GOAL_AT = 1 / 3, 64
_FEW = 2  # adversaries that PyTorch trains; scikit-learn trains one
_CONFIG = watch.get_config().attack.heads
SIZES: dict[str, Any] = {
  **{n: _CONFIG[n] for n in ('batch_size', 'learning_rate', 'weight_decay')},
  **{'features': 64, 'widths': (128, 64), 'classes': 10},
  **{'examples': 3555, 'held': 1185, 'chunk': 100, 'max_chunks': 2},
}


def measure(bench: timing.Bench) -> list[timing.Row]:
  """Returns the rows for each number of adversaries."""
  rows = []
  for count in COUNTS:
    progress.say(f'adversaries, {count} together')
    few = min(_FEW, count)
    timers = {'JAX, together': timer(count)}
    for adamw in ('default', 'fused'):
      name = f'PyTorch one by one, {adamw} AdamW{_scaled(few, count)}'
      fused = {'fused': adamw == 'fused'}
      timers[name] = bench.torch.timer(
        'heads.train', share=few / count, sizes=SIZES, members=few, **fused
      )
    timers[f'scikit-learn one by one{_scaled(1, count)}'] = _sklearn(count)
    goal = _GOAL if count == _GOAL_AT else None
    for row in bench.compare(f'adversaries: {count}', timers, goal):
      a, b = (
        count / statistics.median(row[f'{k}_seconds'])
        for k in ('first', 'second')
      )
      row['extra'] = {'first_a_second': a, 'second_a_second': b}
      row['extra']['note'] = f'{a:.3g} a second, {b:.3g}'
      rows.append(row)
  return rows


def timer(count: int, chunks: int = SIZES['max_chunks']) -> timing.Timer:
  """Times the training of adversaries in one program, without early stopping.

  Args:
    count: the number of adversaries.
    chunks: the number of chunks of 100 steps.
  """
  settings = _CONFIG.copy_and_resolve_references()
  settings.update({'chunk': SIZES['chunk'], 'max_chunks': chunks})
  settings.patience = 10**6
  n, held, k = (SIZES[a] for a in ('examples', 'held', 'classes'))
  rng, zeros = np.random.default_rng(0), np.zeros(count, int)
  x = rng.normal(size=(1, n, SIZES['features'])).astype(np.float32)
  y, valid = rng.integers(k, size=(1, n)), np.ones((1, k), bool)
  data = heads.Data(x, None, y, x[:, :held], y[:, :held], valid)
  head_settings = heads.HeadSettings(
    view=zeros,
    label=zeros,
    seed=np.arange(count),
    rate=np.full(count, settings.learning_rate),
    decay=np.full(count, settings.weight_decay),
    width=np.ones(count),
  )
  widths = SIZES['widths']
  return lambda: timing.seconds(
    heads.train, data, head_settings, widths, settings
  )


def _sklearn(count: int) -> timing.Timer:
  """Times one adversary of scikit-learn, scaled to `count`.

  Its Adam takes whole epochs. The number of epochs nearest to our steps is
  timed, and scaled to our steps.
  """
  rng = np.random.default_rng(0)
  x = rng.normal(size=(SIZES['examples'], SIZES['features']))
  x, y = x.astype(np.float32), rng.integers(SIZES['classes'], size=len(x))
  per_epoch = -(-len(x) // SIZES['batch_size'])
  steps = SIZES['chunk'] * SIZES['max_chunks']
  epochs = max(1, round(steps / per_epoch))
  model = neural_network.MLPClassifier(
    SIZES['widths'],
    batch_size=SIZES['batch_size'],
    learning_rate_init=SIZES['learning_rate'],
    alpha=SIZES['weight_decay'],
    max_iter=epochs,
    n_iter_no_change=epochs + 1,
    early_stopping=False,
    random_state=0,
  )
  share = epochs * per_epoch / steps

  def run():
    with warnings.catch_warnings():
      warnings.simplefilter('ignore', exceptions.ConvergenceWarning)
      return timing.seconds(model.fit, x, y) * count / share

  return run


def _scaled(few, count):
  return f' ({few}, scaled)' if few < count else ''
