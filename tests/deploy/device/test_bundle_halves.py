"""hybrid_jax.Bundle: both halves of a bundle, and what it refuses."""

import json
import shutil

import numpy as np
import pytest

import hybrid_jax as hj

WINDOW = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 32, 2)


@pytest.fixture(scope='module')
def bundle(exported):
  return hj.Bundle(exported.folder)


def test_it_says_what_it_is(bundle, exported):
  assert bundle.split_point == 'dense1'
  assert bundle.classes == ('sit', 'walk', 'run')
  assert bundle.input_shape == (1, 32, 2)
  assert bundle.dim == 6
  text = (exported.folder / 'manifest.json').read_text()
  assert bundle.manifest == json.loads(text)


def test_the_edge_draws_fresh_noise_on_the_grid(bundle, exported):
  released = bundle.edge(np.stack([WINDOW, WINDOW]))
  assert released.shape == (2, 6)
  assert (released[0] != released[1]).any()
  steps = released / np.float32(exported.split.grid)
  np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
  assert bundle.edge(WINDOW).shape == (6,)


def test_the_cloud_gives_the_softmax_of_the_files_logits(bundle, exported):
  released = bundle.edge(np.stack([WINDOW, 2 * WINDOW]))
  probabilities = bundle.cloud(released)
  for row, vector in zip(probabilities, released, strict=True):
    weights = np.exp(exported.cloud_file(vector[None]).astype(np.float64))
    np.testing.assert_allclose(row, weights / weights.sum(), rtol=1e-5)
  np.testing.assert_array_equal(bundle.cloud(released[0]), probabilities[0])


def test_predictions_are_names_of_classes(bundle, monkeypatch):
  vectors = bundle.edge(np.stack([WINDOW, -3 * WINDOW, 9 * WINDOW]))
  monkeypatch.setattr(bundle, 'edge', lambda x: vectors)
  most = bundle.cloud(vectors).argmax(-1)
  expected = [bundle.classes[i] for i in most]
  assert bundle.predict(np.zeros((3, 1, 32, 2))).tolist() == expected


@pytest.mark.parametrize(
  ('half', 'values', 'message'),
  [
    ('edge', np.zeros((2, 32, 2)), r"'x' has shape \(2, 32, 2\).*1, 32, 2\]"),
    ('edge', np.zeros((0, 1, 32, 2)), r'shape \(0, 1, 32, 2\)'),
    ('edge', np.full((2, 1, 32, 2), np.nan), 'NaN or infinity.*in example 0'),
    ('edge', ['a'], "'x' is no array of numbers"),
    ('cloud', np.zeros((3, 5)), r"'released' has shape \(3, 5\).*batch, 6\]"),
    ('predict', np.zeros(3), r"'x' has shape \(3,\)"),
  ],
)
def test_a_wrong_input_is_one_clear_line(bundle, half, values, message):
  with pytest.raises(hj.UserError, match=message) as caught:
    getattr(bundle, half)(values)
  assert '\n' not in str(caught.value)


def test_another_version_a_damaged_and_a_missing_file(exported, tmp_path):
  folder = tmp_path / 'bundle'
  shutil.copytree(exported.folder, folder)
  manifest = json.loads((folder / 'manifest.json').read_text())
  newer = json.dumps(manifest | {'format': 99})
  (folder / 'manifest.json').write_text(newer)
  with pytest.raises(hj.UserError, match='has the format 99; this version'):
    hj.Bundle(folder)
  (folder / 'manifest.json').write_text('{')
  with pytest.raises(hj.UserError, match=r'manifest\.json is damaged'):
    hj.Bundle(folder)
  (folder / 'manifest.json').write_text(json.dumps(manifest))
  (folder / 'cloud.tflite').write_bytes(b'short')
  with pytest.raises(hj.UserError, match=r'cloud\.tflite has sha256'):
    hj.Bundle(folder)
  with pytest.raises(hj.UserError, match='could not read'):
    hj.Bundle(tmp_path / 'nowhere')
