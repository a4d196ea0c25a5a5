import numpy as np
import pytest

from hybrid_jax.metrics import recognition

_PEOPLE, _EACH = 24, 6


def _inputs(seed, spread=0.5):
  """Each person has one pattern of 6 by 5 pixels; its inputs vary around it."""
  patterns = np.random.default_rng(0).standard_normal((_PEOPLE, 6, 5, 1))
  person = np.repeat(np.arange(_PEOPLE), _EACH)
  rng = np.random.default_rng(seed)
  x = patterns[person] + spread * rng.standard_normal((len(person), 6, 5, 1))
  return x.astype(np.float32), person


def _measure(probe, label):
  gallery, person = _inputs(1)
  figures = recognition.measure(gallery, person, {'rebuilt': (probe, label)})
  return figures['rebuilt']


def test_other_inputs_of_a_person_are_recognised():
  figures = _measure(*_inputs(2))
  assert figures['auc']['value'] > 0.95
  assert figures['eer']['value'] < 0.1
  assert figures['auc']['low'] <= figures['auc']['value'] <= 1


def test_pictures_of_nobody_are_at_chance():
  _, person = _inputs(2)
  noise = np.random.default_rng(3).standard_normal((len(person), 6, 5, 1))
  assert _measure(noise, person)['auc']['value'] == pytest.approx(0.5, abs=0.1)


def test_one_picture_for_all_is_at_chance():
  x, person = _inputs(2)
  same = np.broadcast_to(x.mean(axis=0), x.shape)
  # A person's trials with one picture: it is like some people, unlike others.
  assert _measure(same, person)['auc']['value'] == pytest.approx(0.5, abs=0.05)


def test_labels_in_a_wrong_order_are_at_chance_or_below():
  x, person = _inputs(2)
  assert _measure(x, (person + 2) % _PEOPLE)['auc']['value'] < 0.6


@pytest.mark.parametrize(
  'kept',
  [
    lambda person: person != 3,
    lambda person: person % 4 < 2,
    lambda person: person % 2 == 0,  # one half has no probes
    lambda person: person < 4,
  ],
)
def test_people_without_probes_are_left_out(kept):
  x, person = _inputs(2)
  rows = kept(person)
  figures = _measure(x[rows], person[rows])
  assert figures['auc']['value'] > 0.9
  assert np.isfinite([list(f.values()) for f in figures.values()]).all()


def test_probes_of_one_person_or_of_unknown_people_are_not_matched():
  gallery, label = _inputs(1)
  x, person = _inputs(2)
  for probe in (
    (x, person + _PEOPLE),
    (x[person == 4], person[person == 4]),
    (x[:0], person[:0]),
  ):
    assert recognition.measure(gallery, label, {'rebuilt': probe}) == {}


def test_many_inputs_of_a_person_are_a_sample():
  patterns = np.random.default_rng(0).standard_normal((_PEOPLE, 30))
  person = np.repeat(np.arange(_PEOPLE), 400)
  noise = np.random.default_rng(5).standard_normal((len(person), 30))
  x = (patterns[person] + 0.5 * noise).astype(np.float32)
  figures = recognition.measure(x, person, {'original': (x, person)})
  assert figures['original']['auc']['value'] > 0.95


def test_few_people_are_not_matched():
  x, person = _inputs(1)
  few = person < recognition.FEWEST - 1
  probes = {'rebuilt': (x[few], person[few])}
  assert recognition.measure(x[few], person[few], probes) == {}
  one = np.arange(0, len(person), _EACH)
  assert (
    recognition.measure(x[one], person[one], {'rebuilt': (x, person)}) == {}
  )
