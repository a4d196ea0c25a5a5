"""Times the exported network beside the same one, built in Keras.

    python -m launch.bench_export [--rounds=15] [--out=FILE.json]

Both files have the same weights, which is checked, and run by turns in one
process, one thread: a ratio is the median over the rounds of our time over
Keras' of the same round; below 1 ours is faster. Needs the extra `export`.
"""

import json
import pathlib
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from configs import motionsense, watch
from hybrid_jax import errors, files
from hybrid_jax.cli import command
from hybrid_jax.deploy.export import tflite
from hybrid_jax.models import split_model

_ROUNDS = flags.DEFINE_integer('rounds', 15, 'Times each is timed.', 1)
_CALLS = flags.DEFINE_integer('calls', 1000, 'Calls timed at once.', 1)
_OUT = flags.DEFINE_string('out', None, 'Where to write the ratios, as JSON.')

_CONFIGS = {'watch': watch, 'motionsense': motionsense}
_CLASSES = 7
_SHAPE = (1, 1, 128, 6)


def keras_twin(model: Any, params: Any) -> bytes:
  """The TFLite file of a `cnn1d` network that Keras built."""
  import tensorflow as tf  # Slow, and not everywhere.

  layers = tf.keras.layers
  *convolutions, dense = model.SPLIT_POINTS
  x = inputs = tf.keras.Input(_SHAPE[1:], batch_size=1)
  made = []
  for _, width in zip(convolutions, model.widths, strict=True):
    made.append(layers.Conv2D(width, (1, model.kernel), padding='same'))
    x = layers.ReLU()(layers.MaxPool2D((1, 2))(made[-1](x)))
  made += [layers.Dense(model.dense, 'relu'), layers.Dense(model.classes)]
  x = made[-2](layers.Flatten()(x))
  network = tf.keras.Model(inputs, made[-1](x))
  own = [params[name]['Conv_0'] for name in convolutions]
  own += [params[dense]['Dense_0'], params['head']]
  for layer, weights in zip(made, own, strict=True):
    layer.set_weights(
      [np.asarray(weights[name]) for name in ('kernel', 'bias')]
    )
  return tf.lite.TFLiteConverter.from_keras_model(network).convert()


def compare(name: str, rounds: int, calls: int) -> dict[str, Any]:
  """Our file's time over Keras', of the network of a config."""
  model = split_model.make(_CONFIGS[name].get_config().model, _CLASSES)
  params = model.init(jax.random.key(0), jnp.zeros(_SHAPE))['params']

  def network(x: jax.Array) -> Any:
    return model.apply({'params': params}, x)

  ours = tflite.convert(network, {'x': _SHAPE}, 'logits')
  runs = [_Runner(ours), _Runner(keras_twin(model, params))]
  x = np.random.default_rng(0).standard_normal(_SHAPE).astype(np.float32)
  error = float(np.abs(runs[0](x) - runs[1](x)).max())
  if error > 1e-4:
    raise errors.UserError(f'{name}: the two files differ by {error:.2g}.')
  ratios, times = [], ([], [])
  for i in range(rounds + 1):
    order = (0, 1) if i % 2 else (1, 0)
    for j in order:
      started = time.perf_counter()
      for _ in range(calls):
        runs[j](x)
      times[j].append((time.perf_counter() - started) / calls)
    ratios.append(times[0][-1] / times[1][-1])
  ratios = ratios[1:]  # The first round warms both up.
  return {
    'network': name,
    'ratio': statistics.median(ratios),
    'least': min(ratios),
    'greatest': max(ratios),
    'ours_ms': 1e3 * statistics.median(times[0][1:]),
    'keras_ms': 1e3 * statistics.median(times[1][1:]),
    'bytes': [len(run.data) for run in runs],
    'error': error,
  }


class _Runner:
  """A file's one input to its one output, without the signature's cost."""

  def __init__(self, data):
    from ai_edge_litert import interpreter as litert

    self.data = data
    self._run = litert.Interpreter(model_content=data, num_threads=1)
    self._run.allocate_tensors()
    (given,), (wanted,) = (
      self._run.get_input_details(),
      self._run.get_output_details(),
    )
    self._given, self._wanted = given['index'], wanted['index']

  def __call__(self, x):
    self._run.set_tensor(self._given, x)
    self._run.invoke()
    return self._run.get_tensor(self._wanted)


def main(argv: list[str]) -> None:
  """Prints a line for each network."""
  command.no_more(argv)
  found = [compare(name, _ROUNDS.value, _CALLS.value) for name in _CONFIGS]
  for row in found:
    print(
      f'{row["network"]}: {row["ours_ms"]:.4f} ms against Keras'
      f' {row["keras_ms"]:.4f} ms, ratio {row["ratio"]:.3f}'
      f' ({row["least"]:.3f} to {row["greatest"]:.3f})'
    )
  if _OUT.value:
    files.write_json(pathlib.Path(_OUT.value), json.loads(json.dumps(found)))


if __name__ == '__main__':
  command.run(main)
