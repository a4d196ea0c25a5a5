"""hybrid_jax.audit: its report, its folds and its errors."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

import hybrid_jax as hj
from hybrid_jax.report import gate
from hybrid_jax.study import audit_arrays, audit_folds

_N = 240


def _arrays(**changes):
  """Six persons with two recordings of 20 rows each; one number tells them."""
  rng = np.random.default_rng(0)
  recording = np.arange(_N) // 20
  person = np.array(['ann', '<b>', 'cy', 'dan', 'eve', 'fay'])[recording % 6]
  released = rng.standard_normal((_N, 3))
  released[:, 0] = 5 * (recording % 6)
  return {
    'released': released,
    'primary': np.where(np.arange(_N) % 2, 'sit', 'walk'),
    'sensitive': {'person': person},
    'recording': [f'r{i}' for i in recording],
  } | changes


def _audit(**changes):
  arrays = _arrays(**changes)
  return hj.audit(arrays.pop('released'), **arrays)


@pytest.fixture(scope='module')
def report():
  return _audit(
    noise_cov=0.01 * np.eye(3), fast=True, attackers=('majority', 'kde')
  )


@pytest.mark.parametrize(
  ('attackers', 'of_recordings'),
  [(None, ('discriminant', 'trees')), (('knn', 'trees'), ('trees',))],
)
def test_sets_are_attacked_by_the_attackers_alone(attackers, of_recordings):
  attack = audit_arrays._settings(None, False, attackers, None).attack
  assert attack.sets.recording_adversaries == of_recordings
  if attackers:
    assert attack.adversaries == attackers
    assert attack.sets.adversaries == ()


def test_the_rows_are_plain_figures(report):
  (row,) = report.rows
  assert isinstance(row, hj.AuditRow)
  assert row.label == 'person'
  assert row.attacker.startswith('kernel density')
  assert row.low <= row.accuracy <= row.high
  assert row.accuracy > 0.95
  assert row.chance == pytest.approx(1 / 6, abs=0.01)
  assert row.accuracy <= row.ceiling <= 1
  assert row.by_recording == 1
  with pytest.raises(dataclasses.FrozenInstanceError):
    row.accuracy = 0.0


def test_the_report_shows_itself_as_text_and_as_html(report):
  (row,) = report.rows
  figure = f'{100 * row.accuracy:.1f} [{100 * row.low:.1f}'
  text, html = str(report), report._repr_html_()
  for shown in (text, html):
    assert 'person' in shown
    assert figure in shown
    assert 'noise_cov' in shown
  assert repr(report) == text
  assert html.count('<tr>') == 2


def test_html_is_escaped(report):
  shown = dataclasses.replace(report, name='<script>', notes=('a < b',))
  assert '<script>' not in shown._repr_html_()
  assert '&lt;script&gt;' in shown._repr_html_()
  assert 'a &lt; b' in shown._repr_html_()


def test_a_failed_control_comes_first(report):
  failed = dataclasses.replace(report, failed_controls=('Noise leaks.',))
  assert str(failed).startswith('FAILED CONTROL: Noise leaks.')
  html = failed._repr_html_()
  assert html.index('Noise leaks.') < html.index('<table')


def test_a_report_is_saved_whole(report, tmp_path):
  report.save(tmp_path / 'a.json')
  assert json.loads((tmp_path / 'a.json').read_text()) == report.to_dict()
  report.save(str(tmp_path / 'a.html'))
  page = (tmp_path / 'a.html').read_text()
  assert 'Leakage of released' in page
  assert report.notes[0] in page
  with pytest.raises(
    hj.UserError, match=r"suffix is '\.pdf'.*\.html or \.json"
  ):
    report.save(tmp_path / 'a.pdf')
  assert {path.name for path in tmp_path.iterdir()} == {'a.html', 'a.json'}


def test_the_notes_say_what_was_left_out(report):
  text = ' '.join(report.notes)
  assert 'add it to the vectors' in text
  # Each person has two recordings, so that whole ones cannot fill three folds.
  assert 'first 60 % of the rows train' in text
  assert 'no recordings were given' not in text


def test_whole_recordings_are_dealt_out_where_every_fold_gets_every_class():
  recording = np.arange(600) // 20  # 30 recordings: 10 of each class.
  labels = {'primary': np.arange(600) % 2, 'who': recording % 3}
  fold, note = audit_folds.split(labels, recording)
  assert 'whole recordings' in note
  per_recording = fold.reshape(30, 20)
  assert (per_recording == per_recording[:, :1]).all()
  counts = [np.bincount(labels['who'][fold == i]).tolist() for i in range(3)]
  assert counts == [[120] * 3, [40] * 3, [40] * 3]


@pytest.mark.parametrize('recording', [None, np.repeat([0, 1], 10)])
def test_else_each_combination_of_labels_is_cut_in_order(recording):
  labels = {'primary': np.arange(20) % 2, 'who': np.repeat([0, 1], 10)}
  fold, note = audit_folds.split(labels, recording)
  assert 'first 60 %' in note
  # Five rows of each combination: three train, one is for each other fold.
  assert (
    fold.tolist() == [0] * 6 + [1] * 2 + [2] * 2 + [0] * 6 + [1] * 2 + [2] * 2
  )


def test_a_single_row_trains():
  labels = {'primary': np.array([0, 0, 0, 0, 0, 1])}
  assert audit_folds.split(labels, None)[0].tolist() == [0, 0, 0, 1, 2, 0]


def test_labels_too_rare_to_be_split_are_refused():
  labels = {'primary': np.arange(40) % 2, 'who': np.arange(40) // 4}
  with pytest.raises(hj.UserError, match='combination of labels has five'):
    audit_folds.split(labels, None)


def _folds():
  """Three of the persons are strangers; the folds of each are cut in order."""
  stranger = np.arange(_N) // 20 % 6 >= 3
  fold = np.array([0, 0, 0, 1, 2])[np.arange(_N) % 20 // 4]
  return np.where(stranger, -1, fold), np.where(stranger, fold, -1)


@pytest.fixture(scope='module')
def of_strangers():
  fold, strangers = _folds()
  arrays = _arrays()
  # The vectors of strangers tell nothing, and all are of one side.
  arrays['released'][strangers >= 0, 0] = 0
  arrays['sensitive']['side'] = np.where(
    (strangers < 0) & (np.arange(_N) // 20 < 6), 'left', 'right'
  )
  return hj.audit(
    arrays.pop('released'),
    **arrays,
    fold=fold,
    fold_strangers=strangers,
    noise_cov=0.01 * np.eye(3),
    fast=True,
    attackers=('majority', 'kde'),
  )


def test_strangers_stand_beside_the_seen_people(of_strangers):
  seen, strangers, side = of_strangers.rows
  assert [(r.label, r.whose) for r in of_strangers.rows] == [
    ('person', 'seen'),
    ('person', 'strangers'),
    ('side', 'seen'),
  ]
  assert seen.accuracy > 0.95
  assert strangers.accuracy < 0.6
  assert seen.chance == strangers.chance == pytest.approx(1 / 3)
  assert strangers.accuracy <= strangers.ceiling
  assert side.chance == 0.5
  for text in (str(of_strangers), of_strangers._repr_html_()):
    assert 'person, seen' in text
    assert 'person, strangers' in text
  notes = ' '.join(of_strangers.notes)
  assert 'label side is left out: all strangers are of the class right' in notes
  assert 'other people' not in notes


def test_the_gate_and_the_page_have_the_strangers(of_strangers, tmp_path):
  of_strangers.save(tmp_path / 'metrics.json')
  metrics = gate.read(tmp_path)
  row = gate.of_strangers(metrics, gate.pick(metrics, None, None))
  _, strangers, _ = of_strangers.rows
  assert row['leakage']['person']['value'] == strangers.accuracy
  assert row['ceiling']['person']['high'] == strangers.ceiling
  of_strangers.save(tmp_path / 'page.html')
  page = (tmp_path / 'page.html').read_text()
  assert page.count('person of strangers') == 1
  found = f'{100 * strangers.accuracy:.1f} [{100 * strangers.low:.1f}'
  assert found in page.partition('person of strangers')[2]


def test_rows_of_seen_people_are_split_where_strangers_have_folds():
  fold, strangers = _folds()
  report = _audit(
    fold_strangers=np.array(['train', 'validation', 'test', 'none'])[strangers],
    fast=True,
    attackers='majority',
  )
  assert [row.whose for row in report.rows] == ['seen', 'strangers']
  assert any('of the rows train' in note for note in report.notes)
  assert fold.min() == -1


_FOLD, _STRANGERS = _folds()


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'fold_strangers': [0, 1]}, r"'fold_strangers' has shape \(2,\)"),
    (
      {'fold_strangers': np.where(_STRANGERS < 0, 4, _STRANGERS)},
      "'fold_strangers' is 4 in row 0; .*none",
    ),
    (
      {'fold_strangers': np.where(_STRANGERS < 0, 3, _STRANGERS)},
      "'fold_strangers' is 3 in row 0; .* 2 or test, -1 or none",
    ),
    (
      {'fold_strangers': np.where(_STRANGERS == 1, -1, _STRANGERS)},
      "validation fold of the strangers is empty: no 'fold_strangers' is 1",
    ),
    (
      {'fold': np.abs(_FOLD)},
      "row 60 is 1 in 'fold' and 0 in 'fold_strangers'.*give -1",
    ),
    (
      {'recording': np.arange(_N) // 80},
      'a seen person, first in row 0, and of a stranger, first in row 60',
    ),
    (
      {'sensitive': {'x': np.where(_STRANGERS < 0, np.arange(_N) % 2, 0)}},
      'no sensitive label can be attacked.*of the class 0',
    ),
    (
      {'sensitive': {'x': np.arange(_N) % 20 // 16}},
      'no sensitive label can be attacked.*train fold lacks the class 1',
    ),
    ({'fold': None, 'fold_strangers': np.arange(_N) % 3}, 'every row is of a'),
    ({'fold_strangers': None}, "'fold' holds -1, .* no 'fold_strangers'"),
  ],
)
def test_a_mistake_in_the_folds_of_strangers_is_one_clear_line(
  changes, message
):
  both = {'fold': _FOLD, 'fold_strangers': _STRANGERS}
  with pytest.raises(hj.UserError, match=message) as caught:
    _audit(**both | changes)
  assert '\n' not in str(caught.value)


def test_labels_of_both_show_no_other_people():
  report = _audit(
    fold=_FOLD,
    fold_strangers=_STRANGERS,
    sensitive=np.arange(_N) % 2,
    fast=True,
    attackers='majority',
  )
  assert any('nothing shows that' in note for note in report.notes)


class _Tensor:
  """Stands for a tensor of PyTorch that needs its gradient."""

  def __init__(self, array):
    self._array = array

  def detach(self):
    return self

  def cpu(self):
    return self._array


_ROW_3 = np.where(np.arange(_N)[:, None] == 3, np.nan, np.ones((_N, 2)))


@pytest.mark.parametrize(
  'released',
  [_Tensor(_ROW_3), jnp.asarray(_ROW_3, jnp.bfloat16), _ROW_3.tolist()],
  ids=['torch', 'bfloat16', 'list'],
)
def test_arrays_of_other_libraries_are_read(released):
  with pytest.raises(hj.UserError, match=r"'released' holds NaN.*in row 3"):
    _audit(released=released)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'released': np.ones(_N)}, r'shape \(240,\).*\[examples, numbers\]'),
    ({'released': np.ones((0, 2))}, r'shape \(0, 2\).*one or more of each'),
    (
      {'released': np.ma.masked_less(np.arange(2.0 * _N).reshape(_N, 2), 3)},
      "'released' is masked in 3 places",
    ),
    ({'released': np.full((_N, 2), 'a')}, "'released' is <U1"),
    ({'released': np.full((_N, 2), None)}, "'released' is object"),
    ({'released': [[1.0], [1.0, 2.0]]}, "'released' is list, and no array"),
    ({'released': np.ones((7, 2))}, 'has 7 rows; an audit needs 20 or more'),
    ({'primary': np.zeros(7, int)}, r"'primary' has shape \(7,\).*240 vectors"),
    ({'primary': ['a', 1] * 120}, "'primary' mixes text and numbers: 'a'"),
    ({'primary': ['a', None] * 120}, 'None in row 1, which is no label'),
    ({'primary': np.arange(_N) / 2}, '0.5 in row 1'),
    ({'primary': ['a'] * _N}, r"'primary' has one class only \(a\)"),
    ({'sensitive': {}}, "'sensitive' is empty"),
    ({'sensitive': {3: [0, 1] * 120}}, 'the key 3'),
    ({'sensitive': np.ones((_N, 2), int)}, r"'sensitive' has shape \(240, 2\)"),
    ({'recording': [1, 2]}, r"'recording' has shape \(2,\)"),
    ({'fold': ['train', 'dev'] * 120}, "'fold' is 'dev' in row 1"),
    ({'fold': ['train', 'test'] * 120}, 'validation fold is empty'),
    ({'fold': [0, 1]}, r"'fold' has shape \(2,\)"),
    (
      {'fold': np.repeat([1, 2, 0], [20, 20, 200]), 'recording': None}
      | {'sensitive': {'who': ['x'] * 20 + ['y', 'z'] * 110}},
      r"class 'x' of .sensitive\['who'\]. is empty in the train fold",
    ),
    ({'noise_cov': 0.5}, r"'noise_cov' is float64 of shape \(\).*\(3, 3\)"),
    ({'noise_cov': -np.eye(3)}, 'eigenvalue -1.*positive definite'),
    ({'noise_cov': np.tri(3)}, 'is 0 in row 0 and column 1, and 1 in row 1'),
    ({'noise_cov': np.full((3, 3), np.nan)}, 'holds NaN or infinity'),
    ({'noise_cov': 1e-30 * np.eye(3)}, 'deviation 1e-15 in row 0'),
    ({'primary': None}, "'primary' is None"),
    ({'fold': np.array([0.0, 1, 2, np.nan] * 60)}, "'fold' is float64.*attack"),
    ({'fold': [5] * 240}, "'fold' is 5 in row 0.*test, 3 or attack"),
    ({'attackers': ('trees', 'tres')}, "unknown attacker 'tres'.*'trees'"),
    ({'attackers': ()}, 'attackers is empty'),
    ({'attackers': 'transfer'}, "unknown attacker 'transfer'"),
    ({'seed': -1}, 'seed is -1'),
    ({'seed': 'a'}, "'seed' is 'a'; it must be a whole number"),
    ({'sensitive': {'primary': [0, 1] * 120}}, "the key 'primary', which is"),
    (
      {'fold': ['train'] * 238 + ['validation', 'test'], 'recording': None},
      'validation fold has 1 vector; it needs 2 or more',
    ),
  ],
)
def test_a_mistake_is_one_clear_line(changes, message):
  with pytest.raises(hj.UserError, match=message) as caught:
    _audit(**changes)
  assert '\n' not in str(caught.value)
