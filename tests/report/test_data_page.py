"""The page of a data set: its examples, classes and faults."""

import dataclasses
import html
import json
import re

import numpy as np
import pytest

from hybrid_jax.datasets import check, dataset
from hybrid_jax.report import data_page


def _data(shape, constant=False):
  n = 60
  rng = np.random.default_rng(0)
  x = rng.uniform(size=(n, *shape)).astype(np.float32)
  if constant:
    x[..., 0] = 0.5
  return dataset.Dataset(
    x=x,
    primary=np.arange(n, dtype=np.int32) % 3,
    sensitive={'who': np.arange(n, dtype=np.int32) // 3 % 2},
    recording=np.arange(n, dtype=np.int32) // 6,
    fold=np.arange(n, dtype=np.int8) * 3 // n,
    primary_names=['sit', 'walk', '<b>run</b>'],
    sensitive_names={'who': ['Ann', 'Bob']},
    channels=[f'channel {i}' for i in range(shape[-1])],
  )


def _page(data):
  return data_page.render(data, check.examine(data), 'made')


def _figures(page):
  found = re.findall(r'data-figure="([^"]*)"', page)
  return [json.loads(html.unescape(text)) for text in found]


def test_signals_are_drawn_with_their_labels():
  page = _page(_data((1, 16, 2)))
  signals, primary, who = _figures(page)
  assert len(signals['data']) == 10 * 2  # examples times channels
  titles = [a['text'] for a in signals['layout']['annotations']]
  assert len(titles) == 10
  assert {title.split(', ')[0] for title in titles} == {
    'sit',
    'walk',
    '&lt;b&gt;run&lt;/b&gt;',
  }
  assert [bar['name'] for bar in primary['data']] == list(dataset.FOLDS)
  assert sorted(who['data'][0]['x']) == ['Ann', 'Bob']
  assert '<b>run' not in page


def test_pictures_are_shown():
  page = _page(_data((12, 10, 3)))
  assert page.count('<img src="data:image/png;base64,') == 10
  assert len(_figures(page)) == 2


def test_faults_stand_at_the_top():
  page = _page(_data((1, 16, 2), constant=True))
  fault = page.index('constant channels')
  assert fault < page.index('Ten examples')
  assert 'class="failed"' in page[:fault]


@pytest.mark.parametrize('classes', [2, 12])
def test_examples_are_spread_over_the_classes(classes):
  data = _data((1, 8, 1))
  values = np.arange(60) % classes
  chosen = data_page._choose(dataclasses.replace(data, primary=values))
  assert len(set(chosen.tolist())) == 10
  assert len(set(values[chosen])) == min(classes, 10)
