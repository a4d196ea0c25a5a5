"""Pictures of inputs and their reconstructions, signals or images."""

import base64
import io
import math
from typing import Any

import numpy as np

from hybrid_jax.datasets import dataset
from hybrid_jax.measures import reconstruction
from hybrid_jax.report import rows, style

ORIGINAL = reconstruction.ORIGINAL
WIDTH, HEIGHT = 130, 72  # of the picture of one signal, in pixels
# Colours of the attacks; they differ from those of the embeddings.
_COLOURS = ('#882255', '#44AA99', '#999933', '#332288')
_GREY = '#8a8a8f'


def attacks(table: list[rows.Row]) -> list[str]:
  """Returns the names of all attacks in the table; the class mean is first."""
  names = {
    name: None
    for row in table
    for name in row.get('reconstruction', {}).get('attacks', {})
  }
  return sorted(names, key=lambda name: name != reconstruction.CLASS_MEAN)


def recognised(table: list[rows.Row], attribute: str) -> list[str]:
  """Returns what an attribute was looked for in: originals and attacks.

  Args:
    table: the rows.
    attribute: the sensitive label. Without figures of it, nothing is returned.
  """
  names = {
    name: None
    for row in table
    for name in row.get('reconstruction', {})
    .get('recognition', {})
    .get(attribute, {})
  }
  return list(names)


def draw(
  table: list[rows.Row], channels: list[dict[str, Any]] | None
) -> dict[str, Any]:
  """Returns the content of the pictures, for the page's template.

  Args:
    table: the rows; those with a reconstruction are drawn.
    channels: each channel's `name`, `mean` and `std`, which undo the
      normalization; `None` to draw normalized signals.

  Returns:
    `kind`, which is `'signal'` or `'image'`. For signals:

    - `key`: colour, width and dashes of each line, by name;
    - `channel`: the name of the channel that is drawn;
    - `low`, `high`: the range of the vertical axis, in the channel's unit;
    - `zero`: the vertical position of 0 in pixels, `None` outside the range;
    - `times`: the number of samples of a window;
    - `rows`: for each row `name`, and `boxes`, the points of the lines by name
      for each window.

    For images `rows`: for each row `name`, and `strips`, lists of `data:`
    addresses by name.
  """
  measured = [row for row in table if 'reconstruction' in row]
  names = style.titles(measured)
  shape = np.shape(measured[0]['reconstruction']['pictures'][ORIGINAL])
  if dataset.is_image(shape):
    return {
      'kind': 'image',
      'rows': [
        {'name': name, 'strips': _strips(row['reconstruction']['pictures'])}
        for row, name in zip(measured, names, strict=True)
      ],
    }
  return {'kind': 'signal'} | _signals(measured, names, channels)


def png(image: np.ndarray) -> str:
  """Returns a `data:` address with an image in PNG.

  Args:
    image: `[h, w, c]` uint8; c is 1 for grey and 3 for colour.
  """
  from PIL import Image  # Not all studies have images.

  pixels = image[..., 0] if image.shape[-1] == 1 else image
  stream = io.BytesIO()
  Image.fromarray(pixels).save(stream, 'PNG', optimize=True)
  return f'data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}'


def _strips(pictures):
  original = np.asarray(pictures[ORIGINAL])
  low, span = original.min(), np.ptp(original) or 1.0
  order = [
    ORIGINAL,
    *(name for name in pictures if name != ORIGINAL),
  ]
  return {
    name: [
      png(np.uint8(np.clip(np.round(255 * (x - low) / span), 0, 255)))
      for x in np.asarray(pictures[name])
    ]
    for name in order
  }


def _signals(measured, names, channels):
  order = [
    reconstruction.CLASS_MEAN,
    ORIGINAL,
    *attacks(measured)[1:],
  ]
  signals = [_as_signals(row['reconstruction']['pictures']) for row in measured]
  # All rows show the channel that varies most within these windows.
  index = int(signals[0][ORIGINAL].var(axis=1).mean(axis=0).argmax())
  channel = {'name': f'channel {index + 1}', 'mean': 0.0, 'std': 1.0}
  if channels and len(channels) == signals[0][ORIGINAL].shape[-1]:
    channel = channels[index]
  lines = [
    {
      name: x[..., index] * channel['std'] + channel['mean']
      for name, x in t.items()
    }
    for t in signals
  ]
  values = np.concatenate([x.ravel() for t in lines for x in t.values()])
  low, high = _round_range(values.min(), values.max())
  styles = {
    reconstruction.CLASS_MEAN: (_GREY, '2 3', 1.2),
    ORIGINAL: ('#c4c4ca', '', 2.6),
  }
  for i, name in enumerate(attacks(measured)[1:]):
    styles[name] = (_COLOURS[i % len(_COLOURS)], '', 1.3)
  return {
    'key': {
      name: dict(zip(('colour', 'dash', 'width'), styles[name], strict=True))
      for name in (
        ORIGINAL,
        *attacks(measured)[1:],
        reconstruction.CLASS_MEAN,
      )
      if any(name in t for t in lines)
    },
    'channel': channel['name'],
    'low': f'{low:g}',
    'high': f'{high:g}',
    'times': lines[0][ORIGINAL].shape[1],
    'zero': _y(0.0, low, high) if low < 0 < high else None,
    'rows': [
      {
        'name': name,
        'boxes': [
          {n: _path(t[n][i], low, high) for n in order if n in t}
          for i in range(len(t[ORIGINAL]))
        ],
      }
      for name, t in zip(names, lines, strict=True)
    ],
  }


def _as_signals(pictures):
  """Reshapes each array to `[n, times, channels]`."""
  out = {}
  for name, values in pictures.items():
    x = np.asarray(values)
    out[name] = x.reshape(len(x), -1, x.shape[-1] if x.ndim > 2 else 1)
  return out


def _round_range(low, high):
  """Widens a range to round numbers: two digits of its width."""
  unit = 10.0 ** (math.floor(math.log10(max(high - low, 1e-9))) - 1)
  return math.floor(low / unit) * unit, math.ceil(high / unit) * unit


def _y(value, low, high):
  return HEIGHT * (1 - (value - low) / ((high - low) or 1))


def _path(values, low, high):
  step = WIDTH / max(len(values) - 1, 1)
  return ' '.join(
    f'{i * step:.1f},{_y(v, low, high):.1f}' for i, v in enumerate(values)
  )
