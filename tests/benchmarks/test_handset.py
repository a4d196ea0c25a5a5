"""The table of what each cut costs a device."""

import ml_collections
import pytest

pytest.importorskip('tensorflow')

from benchmarks import handset
from hybrid_jax.models import split_model


def test_a_small_network_has_a_row_for_each_cut_and_one_for_the_whole():
  network = handset.Network(
    'small', 'cnn1d', {'widths': (4, 4, 8)}, (1, 32, 2), 3, {'conv1': 2}
  )
  cut, whole = handset.measure(network, seconds=0.05)
  assert (cut['cut'], whole['cut']) == ('conv1', handset.WHOLE)
  # 16 places of 4 channels; two float32 numbers are sent.
  assert (cut['features_bytes'], cut['sent_bytes']) == (4 * 16 * 4, 8)
  assert 0 < cut['multiply_adds'] < whole['multiply_adds']
  assert 0 < cut['p50_ms'] <= cut['p95_ms']
  table = handset.table([cut, whole])
  assert {len(row) for row in table['rows']} == {len(table['columns'])}
  assert [row[0] for row in table['rows']] == ['small', '']


def test_all_cuts_are_of_their_networks():
  for network in handset.NETWORKS.values():
    config = {'name': network.model, 'options': network.options}
    model = split_model.make(ml_collections.ConfigDict(config), 2)
    assert set(network.cuts) <= set(model.SPLIT_POINTS)
