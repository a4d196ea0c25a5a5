"""Compares an exported network with the same network built in Keras.

    python -m benchmarks.export_time [--rounds=15] [--out=FILE.json]

Both TFLite files have the same weights and are run in turns, in one process
with one thread. The ratio is the median over the rounds of our time divided by
that of Keras; below 1 our file is faster. Needs the extra `export`.
"""

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

_ROUNDS = flags.DEFINE_integer('rounds', 15, 'How many rounds are timed.', 1)
_CALLS = flags.DEFINE_integer('calls', 1000, 'Calls of each file per round.', 1)
_OUT = flags.DEFINE_string('out', None, 'A JSON file for the ratios.')

_CONFIGS = {'watch': watch, 'motionsense': motionsense}
_CLASSES = 7
_SHAPE = (1, 1, 128, 6)
_MAX_DIFFERENCE = 1e-4  # of the logits of both files


def convert_keras(model: Any, params: Any) -> bytes:
  """Builds a `cnn1d` network in Keras; returns its TFLite file."""
  import tensorflow as tf  # Imported here: it is slow and optional.

  layers = tf.keras.layers
  *convolutions, dense = model.SPLIT_POINTS
  x = inputs = tf.keras.Input(_SHAPE[1:], batch_size=1)
  keras_layers = []
  for _, width in zip(convolutions, model.widths, strict=True):
    keras_layers.append(layers.Conv2D(width, (1, model.kernel), padding='same'))
    x = layers.ReLU()(layers.MaxPool2D((1, 2))(keras_layers[-1](x)))
  hidden = layers.Dense(model.dense, 'relu')
  head = layers.Dense(model.classes)
  network = tf.keras.Model(inputs, head(hidden(layers.Flatten()(x))))
  flax_layers = [params[name]['Conv_0'] for name in convolutions]
  flax_layers += [params[dense]['Dense_0'], params['head']]
  for layer, weights in zip(
    [*keras_layers, hidden, head], flax_layers, strict=True
  ):
    layer.set_weights(
      [np.asarray(weights[name]) for name in ('kernel', 'bias')]
    )
  return tf.lite.TFLiteConverter.from_keras_model(network).convert()


def compare(name: str, rounds: int, calls: int) -> dict[str, Any]:
  """Times our file and that of Keras, for the network of a config.

  Raises:
    UserError: the files give different logits.
  """
  model = split_model.make(_CONFIGS[name].get_config().model, _CLASSES)
  params = model.init(jax.random.key(0), jnp.zeros(_SHAPE))['params']

  def network(x: jax.Array) -> Any:
    return model.apply({'params': params}, x)

  ours = _Runner(tflite.convert(network, {'x': _SHAPE}, 'logits'))
  keras = _Runner(convert_keras(model, params))
  x = np.random.default_rng(0).standard_normal(_SHAPE).astype(np.float32)
  difference = float(np.abs(ours(x) - keras(x)).max())
  if difference > _MAX_DIFFERENCE:
    raise errors.UserError(f'{name}: the two files differ by {difference:.2g}.')
  times = {ours: [], keras: []}
  for i in range(rounds + 1):
    for run in (ours, keras) if i % 2 else (keras, ours):
      started = time.perf_counter()
      for _ in range(calls):
        run(x)
      times[run].append((time.perf_counter() - started) / calls)
  # The first round is a warm-up.
  our_times, keras_times = times[ours][1:], times[keras][1:]
  ratios = [a / b for a, b in zip(our_times, keras_times, strict=True)]
  return {
    'network': name,
    'ratio': statistics.median(ratios),
    'least': min(ratios),
    'greatest': max(ratios),
    'ours_ms': 1e3 * statistics.median(our_times),
    'keras_ms': 1e3 * statistics.median(keras_times),
    'bytes': [len(ours.data), len(keras.data)],
    'error': difference,
  }


class _Runner:
  """Runs a file with one input and one output, without checks of the input."""

  def __init__(self, data):
    from ai_edge_litert import interpreter as litert

    self.data = data
    self._interpreter = litert.Interpreter(model_content=data, num_threads=1)
    self._interpreter.allocate_tensors()
    (source,) = self._interpreter.get_input_details()
    (target,) = self._interpreter.get_output_details()
    self._input, self._output = source['index'], target['index']

  def __call__(self, x):
    self._interpreter.set_tensor(self._input, x)
    self._interpreter.invoke()
    return self._interpreter.get_tensor(self._output)


def main(argv: list[str]) -> None:
  """Prints a line for each network."""
  command.no_more(argv)
  rows = [compare(name, _ROUNDS.value, _CALLS.value) for name in _CONFIGS]
  for row in rows:
    print(
      f'{row["network"]}: {row["ours_ms"]:.4f} ms, Keras'
      f' {row["keras_ms"]:.4f} ms, ratio {row["ratio"]:.3f}'
      f' ({row["least"]:.3f} to {row["greatest"]:.3f})'
    )
  if _OUT.value:
    files.write_json(pathlib.Path(_OUT.value), rows)


if __name__ == '__main__':
  command.run(main)
