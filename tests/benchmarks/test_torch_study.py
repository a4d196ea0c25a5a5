"""The study in PyTorch is the study in JAX: same views, choices and losses."""

import json
import os
import pathlib
import subprocess

import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from benchmarks import study
from benchmarks.pytorch import study_leakage, study_problem
from hybrid_jax.attacks import adversary, kde
from hybrid_jax.defences import losses
from hybrid_jax.measures import ceiling, leakage, ranks

ROOT = pathlib.Path(__file__).parents[2]
PYTHON = ROOT / '.venv-torch/bin/python'


def problems(d, sigma):
  rng = np.random.default_rng(0)
  n = 360
  primary = rng.integers(3, size=n)
  arrays = {
    'clean': (rng.normal(size=(n, d)) + primary[:, None]).astype(np.float32),
    'primary': primary,
    'sensitive': {'person': np.arange(n) % 4, 'side': np.arange(n) % 8 // 4},
    'recording': np.arange(n) % 24,
    'fold': np.arange(n) // 24 % 3,
    'draws': 2,
  }
  scale = np.eye(d, dtype=np.float32) * np.float32(sigma) if sigma else None
  return (
    study_problem.Problem(sigma=sigma, **arrays),
    adversary.Problem(noise_scale=scale, **arrays),
  )


@pytest.mark.parametrize(('d', 'sigma'), [(5, 0.0), (5, 0.7), (80, 0.0)])
def test_attackers_see_the_same(d, sigma):
  ours, theirs = problems(d, sigma)
  for fold, expected in theirs.evaluation_draws.items():
    np.testing.assert_allclose(ours.scored[fold], expected, rtol=1e-5)
  for name, view in theirs.views.items():
    found, expected = ours.see(name, ours.clean), view(theirs.clean)
    # The signs of principal components are arbitrary.
    found *= np.sign((found * expected).sum(axis=0))
    # Whitening multiplies the last bits of single precision.
    bound = 1e-3 if d <= 64 else 5e-3
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=bound)


def test_the_same_attacker_is_chosen(monkeypatch):
  ours, theirs = problems(4, 0.0)
  rng = np.random.default_rng(1)
  held, test = (int(ours.rows(f).sum()) for f in (1, 2))
  attacks = []
  for kind in ('mlp', 'kde', 'trees'):
    for trial in range(4):
      for attribute, k in (('person', 4), ('side', 2)):
        found = (rng.normal(size=(1, n, k)) for n in (held, test))
        attacks.append((kind, (f'{kind} {trial}', attribute, *found)))

  class Adversary:
    def __init__(self, kind):
      self.kind = kind

    def attack(self, problem, config, seed):
      return (adversary.Attack(*a) for kind, a in attacks if kind == self.kind)

  monkeypatch.setattr(
    leakage.plugins, 'load', lambda what, kind: Adversary(kind)
  )

  monkeypatch.setattr(leakage, 'settings', lambda config, kind: config)

  class Config:
    adversaries = ('mlp', 'kde', 'trees')
    windows = (1, 2, 4)

    class sets:
      adversaries = recording_adversaries = counts = ()

  expected = leakage.measure(theirs, Config, 0)
  made = [(kind, study_problem.Attack(*a)) for kind, a in attacks]
  found = study_leakage.measure(ours, made, [1, 2, 4])
  for attribute, figures in expected.items():
    got = found[attribute]
    assert got['adversary'] == figures['adversary']
    assert got['tried'] == figures['tried'] == 12 + 5
    for name in ('value', 'low', 'high', 'validation'):
      assert got[name] == pytest.approx(figures[name])
    assert got['by_windows'] == figures['by_windows']
    assert got['per_recording']['value'] == figures['per_recording']['value']


@pytest.fixture(scope='module')
def in_torch(tmp_path_factory):
  """What `torch_study` gives for the arrays of `problems`."""
  if not PYTHON.exists():
    pytest.skip('there is no .venv-torch')
  path = tmp_path_factory.mktemp('torch') / 'a.npz'
  problem, _ = problems(4, 0.0)
  names = ('clean', 'primary', 'recording', 'fold')
  arrays = {name: getattr(problem, name) for name in names}
  np.savez(path, **arrays, **problem.sensitive)
  done = subprocess.run(
    [PYTHON, 'tests/benchmarks/torch_study.py', path],
    cwd=ROOT,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


def test_losses_and_cuts_are_the_same(in_torch):
  problem, _ = problems(4, 0.0)
  z, y = jnp.asarray(problem.clean), jnp.asarray(problem.primary)
  for name, balance in (('balanced', True), ('plain', False)):
    expected = float(losses.contrastive(z, y, 4.0, balance))
    assert in_torch[name] == pytest.approx(expected, rel=1e-4)
  bits = float(losses.gaussian_bits(z, y, 3))
  assert in_torch['bits'] == pytest.approx(bits, rel=1e-4)
  assert in_torch['cut'] < 1e-5


@pytest.mark.parametrize(('place', 'sigma'), [(0, 0.0), (1, 0.7)])
def test_measures_are_the_same(in_torch, place, sigma):
  found = in_torch['problems'][place]
  _, problem = problems(4, sigma)
  config = ml_collections.ConfigDict(
    {
      'bandwidths': (0.3, 1.0),
      'measures': {
        'ranks': {'max_items': 100},
        'ceiling': {'releases': (1, 4), 'resamples': 20},
      },
    }
  )
  expected = ranks.measure(problem, config, 0)
  everyone = {'linkage': expected['linkage'], **expected['classes']}
  got = {'linkage': found['ranks']['linkage'], **found['ranks']['classes']}
  for name, figures in everyone.items():
    for figure in ('mean_rank', 'log_rank', 'top1'):
      assert got[name][figure] == pytest.approx(figures[figure], rel=1e-3)
  for attribute, figures in ceiling.measure(problem, config, 0).items():
    one = found['ceiling'][attribute]['1']
    for figure in ('value', 'high', 'bits'):
      assert one[figure] == pytest.approx(figures[figure], rel=1e-5)
  attacks = list(kde.attack(problem, config, 0))
  assert len(found['kde']) == len(attacks)
  for made, attack in zip(found['kde'], attacks, strict=True):
    np.testing.assert_allclose(made, attack.test, atol=2e-2)


def test_a_row_of_two_runs():
  stages = dict.fromkeys(study.STAGES, 2.0)
  run = {'seconds': 20.0, 'stages': stages | {'attack': 9.0}, 'compiling': 5.0}
  run['figures'] = {'dense1-bounded': {'utility': 0.97, 'person': 0.14}}
  other = {'seconds': 80.0, 'stages': stages | {'attack': 36.0}}
  other['attack'] = {'mlp': 16.0, 'trees': 12.0, 'ceiling': 8.0}
  other['figures'] = {'dense1-bounded': {'utility': 0.96, 'person': 0.15}}
  row = study.row_of('cold', run, other)
  assert row['ratio'] == row['ratio_min'] == row['ratio_max'] == 0.25
  assert row['ratio'] < row['goal'] == pytest.approx(1 / 3)
  extra = row['extra']
  assert extra['stages']['attack'] == {
    'first': 9.0,
    'second': 36.0,
    'ratio': 0.25,
  }
  assert extra['compiling_share'] == 0.25
  assert extra['shared'] == 0.25
  gap = extra['differences']['dense1-bounded']
  assert gap == pytest.approx({'utility': 0.01, 'person': -0.01})


def test_the_data_that_both_read(tmp_path):
  config = study.config()
  study.write_data(config, tmp_path / 'd.npz')
  with np.load(tmp_path / 'd.npz', allow_pickle=False) as data:
    assert data['x'].shape == (len(data['fold']), 1, 128, 6)
    assert (data['fold'] == 0).sum() == 3555
    assert set(data) == {
      *('x', 'primary', 'recording', 'fold'),
      *('sensitive_person', 'sensitive_side'),
    }
