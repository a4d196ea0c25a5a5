"""The two halves as TFLite files, in any variant.

The edge is the network, converted in the variant, joined with a tail in float32
that adds the noise and rounds to the grid. Converted as
one, the tail would be quantised too: the sum of features and noise to 256
steps, or the grid itself to 16 bits, so that what is sent would lie on another
grid than the noise's law and the server say, and noise beyond the range of the
examples would be cut off.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from hybrid_jax.deploy.export import (
  concat_tflite,
  split_functions,
  tflite,
  variants,
)

_DRAWS = 4  # of the noise, for each example


@dataclasses.dataclass(frozen=True)
class Examples:
  """What the halves are scaled by in `'int8'`.

  Attributes:
    windows: training examples `[n, ...]` in sensor units.
    released: what the edge makes of them, `[m, 1, d]`.
  """

  windows: np.ndarray
  released: np.ndarray


def examples(
  cut: split_functions.Halves, windows: np.ndarray, seed: int
) -> Examples:
  """Training `windows [n, ...]` and what is released of them.

  The noise is from a seeded generator: it only shows the range of the sum.
  """
  clean = jax.jit(cut.clean())
  vectors = [clean(x[None]) for x in windows]
  if 'noise' in cut.edge_inputs():
    noised, rng = jax.jit(cut.noised()), np.random.default_rng(seed)
    vectors = [
      noised(vector, rng.standard_normal(cut.dim, dtype=np.float32))
      for vector in vectors
      for _ in range(_DRAWS)
    ]
  return Examples(windows, np.asarray(vectors))


def network(
  cut: split_functions.Halves,
  variant: str = 'float32',
  made: Examples | None = None,
  int8_input: bool = False,
) -> bytes:
  """`x` to `clean`, the edge without its noise; to `released` without any.

  In int8 the input is normalised in float32 before it is quantised: channels
  of other units, as g and rad/s, would have one scale.

  Args:
    cut: the halves.
    variant: one of `variants.VARIANTS`.
    made: for `'int8'`.
    int8_input: the file takes `x` normalised and quantised; `input_kinds` says
      how.
  """
  shape = cut.edge_inputs()['x']
  output = 'clean' if 'noise' in cut.edge_inputs() else 'released'
  windows = [] if made is None else [x[None] for x in made.windows]
  if variant != 'int8':
    variants.refuse_int8_input(variant, int8_input)
    return tflite.convert(cut.clean(), {'x': shape}, output, variant)
  normalized = cut.normalized()
  name = 'x' if int8_input else 'normalized'
  body = tflite.convert(
    cut.network(),
    {name: shape},
    output,
    variant,
    [(np.asarray(normalized(x)),) for x in windows],
    int8_input=int8_input,
  )
  if int8_input:
    return body
  return concat_tflite.join(
    tflite.convert(normalized, {'x': shape}, name), body
  )


def input_kinds(
  cut: split_functions.Halves, edge_file: bytes
) -> dict[str, Any]:
  """Each input's `shape` and `dtype`, and of 8 bits `scale` and `zero_point`.

  What is given is `round(x / scale + zero_point)`, within -128 to 127, with x
  in sensor units. Both are lists, of each channel's, and have the
  normalisation in them.
  """
  kinds = tflite.input_kinds(edge_file)
  for kind in kinds.values():
    if kind['dtype'] == 'int8':
      scale = np.float64(cut.normalizer.std) * kind['scale']
      zero_point = kind['zero_point'] - cut.normalizer.mean / scale
      kind['scale'], kind['zero_point'] = scale.tolist(), zero_point.tolist()
  return kinds


def edge(
  cut: split_functions.Halves,
  network_file: bytes,
  rounded: bool = True,
  inside: bool = False,
) -> bytes:
  """`edge.tflite` of the file that `network` gives.

  Args:
    cut: the halves.
    network_file: in any variant.
    rounded: see `Halves.noised`.
    inside: the file draws its noise itself, which is not private; see
      `tflite.convert`.
  """
  if 'noise' not in cut.edge_inputs():
    return network_file
  tail = tflite.convert(
    cut.noised(rounded),
    {'clean': (1, cut.dim), 'noise': (cut.dim,)},
    'released',
    drawn=('noise',) if inside else (),
  )
  return concat_tflite.join(network_file, tail)


def cloud(
  cut: split_functions.Halves,
  variant: str = 'float32',
  made: Examples | None = None,
  batch: int = 1,
) -> bytes:
  """`cloud.tflite`: `released [batch, d]` to `logits [batch, classes]`."""
  return tflite.convert(
    cut.cloud(),
    {'released': (batch, cut.dim)},
    'logits',
    variant,
    None
    if made is None
    else [(np.repeat(r, batch, axis=0),) for r in made.released],
    batch,
  )
