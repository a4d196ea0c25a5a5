"""What a cut costs: hand-worked sums, and files that really ran."""

import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.export import latency
from hybrid_jax.report import cost_page
from hybrid_jax.study import cost, cut_recommendation

pytest.importorskip('tensorflow')


def test_a_link_adds_its_round_trip_and_the_bytes():
  # 50 + 450 bytes are 4,000 bits: 4 ms at a megabit a second.
  assert cost.ENVELOPE == 450
  assert cost.Link('x', 1, 100).ms(50) == pytest.approx(104)


def _row(cut, variant, leak, ms, sent, utility=0.9):
  return {
    'cut': cut,
    'embedding': 'bounded',
    'variant': variant,
    'validation_advantage': leak,
    'validation_utility': utility,
    'one': {'p50_ms': ms},
    'sent_bytes': sent,
  }


def test_the_least_weighted_cost_among_the_useful_is_advised():
  costs = {
    'weights': {'leak': 1.0, 'time': 0.1, 'bytes': 0.2},
    'utility_loss': 0.05,
    'rows': [
      _row('early', 'float32', 0.5, 1.0, 100),  # 0.5 + 0.05 + 0.02
      _row('late', 'float32', 0.45, 2.0, 100),  # 0.45 + 0.1 + 0.02
      _row('late', 'int8', 0.45, 0.9, 100),  # 0.45 + 0.045 + 0.02
      _row('useless', 'float32', 0.0, 0.0, 0, utility=0.84),
      _row(cut_recommendation.WHOLE, 'float32', None, 2.0, 0),
      _row(cut_recommendation.RAW, 'float32', None, 0.0, 1000),
    ],
  }
  advised = cut_recommendation.recommend(costs, 0.9)
  assert (advised['cut'], advised['variant']) == ('late', 'int8')
  costs['weights'] = {'leak': 0.0, 'time': 0.0, 'bytes': 1.0}
  costs['rows'][0]['sent_bytes'] = 99
  assert cut_recommendation.recommend(costs, 0.9)['cut'] == 'early'


def test_files_are_measured(exported):
  _, study = exported
  costs = cost.run(study, ('float32',), seconds=0.05)
  rows = {row['cut']: row for row in costs['rows']}
  assert list(rows) == [
    'dense1',
    cut_recommendation.WHOLE,
    cut_recommendation.RAW,
  ]
  # Six numbers of 16 bits; nothing; 128 x 6 numbers of 32 bits.
  assert [row['sent_bytes'] for row in rows.values()] == [12, 0, 3072]
  for name in ('dense1', cut_recommendation.WHOLE):
    one = rows[name]['one']
    assert one['calls'] > 0
    assert 0 < one['p50_ms'] <= one['p95_ms']
    assert 0 < one['own_mib'] <= one['peak_mib'] < 500
  assert rows[cut_recommendation.RAW]['one'] is None
  # The dense layer's edge lacks the head of 64 x 7 weights and 7 biases.
  assert (
    rows[cut_recommendation.WHOLE]['edge_parameters']
    - rows['dense1']['edge_parameters']
    == 64 * 7 + 7
  )
  row = rows['dense1']
  assert row['end_to_end']['3G'] == pytest.approx(
    row['one']['p50_ms'] + 100 + 8 * 0.462 + row['cloud_p50_ms']
  )
  assert costs['advised']['cut'] == 'dense1'
  assert 'dense1' in cost_page.terminal(costs)
  assert 'cut at dense1' in cost_page.render(costs, 'watch')


def test_a_file_that_does_not_run_is_told(tmp_path):
  path = tmp_path / 'edge.tflite'
  path.write_bytes(b'no model')
  with pytest.raises(errors.UserError, match=r'edge\.tflite did not run'):
    latency.run(path, 1, 0.01)
