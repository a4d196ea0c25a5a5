"""What a bundle's files release is attacked, and not what JAX computes."""

import json
import shutil

import numpy as np
import pytest

from hybrid_jax import errors, files
from hybrid_jax.attacks import adversary
from hybrid_jax.deploy.formats import device
from hybrid_jax.study import audit_bundle, results

pytest.importorskip('tensorflow')


def _trained(study):
  return next(
    row
    for row in results.gather(study)
    if row['embedding'] == 'noisy_reduced_siamese'
  )


def _copied(workdir, tmp_path, **changes):
  """A copy of the bundle, with changes in its manifest."""
  folder = shutil.copytree(workdir / 'bundle', tmp_path / 'bundle')
  path = folder / 'manifest.json'
  files.write_json(path, json.loads(path.read_text()) | changes)
  return folder


def test_a_device_s_own_releases_are_what_attackers_get():
  clean = np.arange(12, dtype=np.float32).reshape(6, 2)
  fold = np.array([0, 0, 1, 1, 2, 2])
  drawn = {f: np.full((3, 2, 2), 10.0 + f, np.float32) for f in range(3)}
  problem = adversary.Problem(
    clean, np.eye(2), fold, {'who': fold}, fold, fold, 3, device_releases=drawn
  )
  np.testing.assert_array_equal(problem.evaluation_draws[2], drawn[2])
  np.testing.assert_array_equal(problem.copies(0, 2, seed=5), drawn[0][:2])


def test_the_files_leak_what_the_network_does(exported):
  workdir, study = exported
  row = audit_bundle.run(study, workdir / 'bundle')
  trained = _trained(study)
  assert row['variant'] == 'float32'
  assert row['utility']['value'] == pytest.approx(
    trained['utility']['value'], abs=0.03
  )
  for attribute, figures in trained['leakage'].items():
    found = row['leakage'][attribute]
    assert found['value'] == pytest.approx(figures['value'], abs=0.04)
    assert row['ceiling'][attribute]['value'] == pytest.approx(
      trained['ceiling'][attribute]['value'], abs=0.02
    )
  assert [r['variant'] for r in results.read_deployed(study)] == ['float32']
  # A second time nothing runs: the noise would give other figures.
  assert audit_bundle.run(study, workdir / 'bundle') == row


def test_a_device_that_forgets_its_noise_is_found_out(
  exported, tmp_path, monkeypatch
):
  workdir, study = exported
  seen = []

  def nothing(size):
    seen.append(size)
    return np.zeros(size, np.float32)

  monkeypatch.setattr(device, 'standard_normal', nothing)
  folder = _copied(workdir, tmp_path, variant='dynamic')
  row = audit_bundle.run(study, folder)
  study.result('deployed', 'dense1-noisy_reduced_siamese-dynamic').unlink()
  assert set(seen) == {6}
  person = _trained(study)['leakage']['person']
  assert row['leakage']['person']['value'] > person['value'] + 0.05


def test_a_bundle_of_another_study_is_refused(exported, tmp_path):
  workdir, study = exported
  folder = _copied(workdir, tmp_path, split_point='conv7')
  with pytest.raises(errors.UserError, match=r'conv7.*dense1-simple'):
    audit_bundle.run(study, folder)
  (folder / 'edge.tflite').write_bytes(b'nothing')
  with pytest.raises(errors.UserError, match='sha256'):
    audit_bundle.run(study, folder)


def test_halves_of_two_bundles_are_refused(exported, tmp_path):
  workdir, study = exported
  edge = json.loads((workdir / 'bundle/manifest.json').read_text())['edge']
  folder = _copied(workdir, tmp_path, edge=edge | {'paired_with': 'f' * 64})
  with pytest.raises(errors.UserError, match='halves are of two bundles'):
    audit_bundle.run(study, folder)


def test_a_manifest_does_not_choose_where_to_write(exported, tmp_path):
  workdir, study = exported
  folder = _copied(workdir, tmp_path, variant='../../there')
  with pytest.raises(
    errors.UserError, match=r'variant.*float32, float16, dynamic, int8'
  ):
    audit_bundle.run(study, folder)


def test_an_edge_that_draws_its_own_noise_is_refused(exported, tmp_path):
  workdir, study = exported
  edge = json.loads((workdir / 'bundle/manifest.json').read_text())['edge']
  inputs = {'x': edge['inputs']['x']}
  folder = _copied(workdir, tmp_path, edge=edge | {'inputs': inputs})
  with pytest.raises(errors.UserError, match='no input for noise'):
    audit_bundle.run(study, folder)
