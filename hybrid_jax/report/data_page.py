"""The page of `check-data`: examples, classes and what looks wrong."""

import numpy as np
import plotly.graph_objects as go
import plotly.subplots

from hybrid_jax.datasets import check, dataset, sources
from hybrid_jax.report import page, reconstructions, style

_EXAMPLES = 10
_COLUMNS = 5  # of plots of examples
_CHANNELS = 6  # of an example that are drawn
_CLASSES = 40  # of a label that are drawn


def render(data: dataset.Dataset, report: check.Report, title: str) -> str:
  """Returns the page as HTML, which works offline.

  Args:
    data: the data set; ten of its examples are read.
    report: of the data set.
    title: its name.
  """
  rows = _choose(data)
  x = sources.read_rows(data.x, rows)
  captions = [
    ', '.join(
      style.plain(str(data.names()[label][values[row]]))
      for label, values in data.labels().items()
    )
    for row in rows
  ]
  is_image = dataset.is_image(x.shape)
  return page.template('data.html').render(
    title=title,
    **page.scripts(),
    report=report,
    folds=dataset.FOLDS,
    labels=list(data.labels()),
    images=_images(x, rows, captions) if is_image else None,
    signals=None if is_image else style.html(_signals(x, captions, report)),
    drawn=_CHANNELS,
    balance={
      label: style.html(_balance(report, label)) for label in report.counts
    },
    most=_CLASSES,
  )


def _choose(data) -> np.ndarray:
  """Returns the rows of ten examples, spread over the primary classes."""
  rng = np.random.default_rng(0)
  order = rng.permutation(len(data.primary))
  # The first of each class, then the second of each, and so on.
  place = np.zeros(len(order), int)
  for value in np.unique(data.primary):
    members = data.primary[order] == value
    place[members] = np.arange(members.sum())
  return np.sort(order[np.argsort(place, kind='stable')][:_EXAMPLES])


def _images(x, rows, captions):
  return [
    {'source': _png(image), 'row': int(row), 'text': text}
    for image, row, text in zip(x, rows, captions, strict=True)
  ]


def _png(image):
  """Returns the address of an image of any range; most have 0 to 1."""
  low, high = min(image.min(), 0), max(image.max(), 1)
  pixels = 255 * (image - low) / (high - low)
  return reconstructions.png(pixels.astype(np.uint8))


def _signals(x, captions, report) -> go.Figure:
  """Draws each example against the number of its sample."""
  x = x.reshape(len(x), -1, x.shape[-1])[:, :, :_CHANNELS]
  lines = -(-len(x) // _COLUMNS)
  figure = plotly.subplots.make_subplots(
    lines, _COLUMNS, subplot_titles=captions, shared_yaxes='all'
  )
  for i, example in enumerate(x):
    for channel in range(example.shape[1]):
      figure.add_trace(
        go.Scatter(
          y=example[:, channel],
          name=style.plain(report.channels.names[channel]),
          legendgroup=str(channel),
          showlegend=i == 0,
          line={'color': style.COLOURS[channel], 'width': 1},
        ),
        i // _COLUMNS + 1,
        i % _COLUMNS + 1,
      )
  figure.update_annotations(font_size=11)
  style.lay_out(figure, '', '', 220 * lines + 80)
  figure.update_layout(margin_t=70, legend_y=1.08)
  return figure


def _balance(report, label) -> go.Figure:
  """Draws the examples of each class in each fold."""
  counts = report.counts[label]
  order = np.argsort(-counts.sum(axis=0), kind='stable')
  order = order[:_CLASSES]
  figure = go.Figure(
    [
      go.Bar(
        x=[style.plain(str(report.names[label][i])) for i in order],
        y=counts[fold][order],
        name=name,
        marker={'color': colour},
      )
      for fold, (name, colour) in enumerate(
        zip(dataset.FOLDS, ('#0072B2', '#E69F00', '#009E73'), strict=True)
      )
    ]
  )
  figure.update_layout(barmode='stack')
  style.lay_out(figure, label, 'examples', 320)
  figure.update_xaxes(type='category', automargin=True)
  return figure
