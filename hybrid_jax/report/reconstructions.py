"""Inputs beside what became of them: small multiples, and grids of images."""

import base64
import io
import math
from typing import Any

import numpy as np

from hybrid_jax.audit import reconstruction
from hybrid_jax.datasets import dataset
from hybrid_jax.report import rows, style

ORIGINAL = 'original'
WIDTH, HEIGHT = 130, 72  # of one small multiple, in pixels
# None of an embedding's colours, since these tell attacks apart.
_COLOURS = ('#882255', '#44AA99', '#999933', '#332288')
_GREY = '#8a8a8f'


def attacks(table: list[rows.Row]) -> list[str]:
  """All attacks on the input; the class mean, which is none, is first."""
  found = {
    name: None
    for row in table
    for name in row.get('reconstruction', {}).get('attacks', {})
  }
  return sorted(found, key=lambda name: name != reconstruction.CLASS_MEAN)


def draw(
  table: list[rows.Row], channels: list[dict[str, Any]] | None
) -> dict[str, Any]:
  """What the page's pictures hold.

  Args:
    table: the rows, those with a reconstruction are drawn.
    channels: of signals, each channel's `name`, `mean` and `std`, which undo
      the normalization; `None` to leave it.

  Returns:
    `kind`, `'signal'` or `'image'`, and for signals `key`, each line's name,
    colour and dash; `channel`, the name of the one drawn; `low` and `high`,
    the box's edges in its unit; `times`, the samples of a box; `rows`, each
    with `name` and `boxes`, lists of lines. For images `rows`, each with `name`
    and `strips`, names to lists of `data:` addresses.
  """
  own = [row for row in table if 'reconstruction' in row]
  names = style.titles(own)
  shape = np.shape(own[0]['reconstruction']['pictures'][ORIGINAL])
  if dataset.is_image(shape):
    return {
      'kind': 'image',
      'rows': [
        {'name': name, 'strips': _strips(row['reconstruction']['pictures'])}
        for row, name in zip(own, names, strict=True)
      ],
    }
  return {'kind': 'signal'} | _signals(own, names, channels)


def _png(image: np.ndarray) -> str:
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
  order = [ORIGINAL, *(name for name in pictures if name != ORIGINAL)]
  return {
    name: [
      _png(np.uint8(np.clip(np.round(255 * (x - low) / span), 0, 255)))
      for x in np.asarray(pictures[name])
    ]
    for name in order
  }


def _signals(own, names, channels):
  order = [reconstruction.CLASS_MEAN, ORIGINAL, *attacks(own)[1:]]
  taken = [_as_signals(row['reconstruction']['pictures']) for row in own]
  # Of the one that varies most within the windows shown, all are drawn.
  which = int(taken[0][ORIGINAL].var(axis=1).mean(axis=0).argmax())
  about = {'name': f'channel {which + 1}', 'mean': 0.0, 'std': 1.0}
  if channels and len(channels) == taken[0][ORIGINAL].shape[-1]:
    about = channels[which]
  lines = [
    {
      name: x[..., which] * about['std'] + about['mean']
      for name, x in t.items()
    }
    for t in taken
  ]
  every = np.concatenate([x.ravel() for t in lines for x in t.values()])
  low, high = _round(every.min(), every.max())
  styles = {
    reconstruction.CLASS_MEAN: (_GREY, '2 3', 1.2),
    ORIGINAL: ('#c4c4ca', '', 2.6),
  }
  for i, name in enumerate(attacks(own)[1:]):
    styles[name] = (_COLOURS[i % len(_COLOURS)], '', 1.3)
  return {
    'key': {
      name: dict(zip(('colour', 'dash', 'width'), styles[name], strict=True))
      for name in (ORIGINAL, *attacks(own)[1:], reconstruction.CLASS_MEAN)
      if any(name in t for t in lines)
    },
    'channel': about['name'],
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
  """Each `[n, times, channels]`, in the way of `metrics.reconstruction`."""
  out = {}
  for name, values in pictures.items():
    x = np.asarray(values)
    out[name] = x.reshape(len(x), -1, x.shape[-1] if x.ndim > 2 else 1)
  return out


def _round(low, high):
  """A range's edges, outwards to two digits of its width."""
  unit = 10.0 ** (math.floor(math.log10(max(high - low, 1e-9))) - 1)
  return math.floor(low / unit) * unit, math.ceil(high / unit) * unit


def _y(value, low, high):
  return HEIGHT * (1 - (value - low) / ((high - low) or 1))


def _path(values, low, high):
  step = WIDTH / max(len(values) - 1, 1)
  return ' '.join(
    f'{i * step:.1f},{_y(v, low, high):.1f}' for i, v in enumerate(values)
  )
