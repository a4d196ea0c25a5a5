"""What is wrong with data is said by studies and audits, as by check_data."""

import numpy as np
import pytest

from configs import arrays as arrays_config
from configs import audit as audit_config
from hybrid_jax import files
from hybrid_jax.study import audit_released, runner

_HALF = 120
_RNG = np.random.default_rng(0)


def _twice(values):
  return np.concatenate([values, values])


def _stored(**x):
  """The second half, validation and test, is a copy of the first."""
  group = np.arange(_HALF) // 3
  return {
    'primary': _twice(group % 2),
    'sensitive_person': _twice(group // 2 % 3),
    'fold': np.r_[np.zeros(_HALF, int), 1 + group // 2 % 2],
    **{name: _twice(values) for name, values in x.items()},
  }


def test_a_study_says_what_check_data_says(tmp_path, capfd):
  np.savez(
    tmp_path / 'my.npz',
    **_stored(x=_RNG.standard_normal((_HALF, 32, 2))),
    group=np.arange(2 * _HALF) // 3,
  )
  config = arrays_config.get_config(f'{tmp_path / "my.npz"},small')
  for _ in range(2):
    runner.run(config, tmp_path / 'run', ('data',))
    lines = capfd.readouterr().err.splitlines()
    (line,) = [n for n in lines if 'data: fault: ' in n]
    assert '120 of 120 in train' in line
  stored = files.read_json(tmp_path / 'run' / 'results' / 'data.json')
  assert stored['copies']['equal'] == {
    'train': 120,
    'validation': 60,
    'test': 60,
  }
  assert len(stored['faults']) == 1


def _config():
  config = audit_config.get_config()
  config.attack.adversaries = ('majority',)
  for name in list(config.attack.measures):
    if name != 'leakage':
      del config.attack.measures[name]
  return config


@pytest.mark.parametrize('near', [False, True])
def test_an_audit_says_it_on_every_surface(tmp_path, near):
  stored = _stored(clean=_RNG.standard_normal((_HALF, 6)).astype('f4'))
  if near:
    stored['clean'][_HALF:] *= 1.001
  # No recording is in two folds.
  recording = np.arange(2 * _HALF) // 4 + 1000 * stored['fold']
  np.savez(tmp_path / 'my.npz', **stored, recording=recording)
  report = audit_released.run(tmp_path / 'my.npz', tmp_path / 'out', _config())
  metrics = files.read_json(tmp_path / 'out' / 'metrics.json')
  counts = metrics['data']['copies']['near' if near else 'equal']
  assert (counts['validation'], counts['test']) == (60, 60)
  line = (report.notes if near else report.faults)[0]
  assert f'{"near" if near else "equal"} copies in another fold' in line
  lines = metrics['notes'] if near else metrics['data']['faults']
  assert lines == [line]
  assert line[:40] in str(report)
  assert line in (tmp_path / 'out' / 'report.html').read_text()
