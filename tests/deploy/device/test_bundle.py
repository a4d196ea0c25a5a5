"""Bundles that the device refuses, and where its noise comes from."""

import json
import os
import random
import secrets
import shutil

import numpy as np
import pytest

from hybrid_jax.deploy.device import bundle, failures

WINDOW = np.linspace(-1, 1, 64, dtype=np.float32).reshape(1, 32, 2)


@pytest.fixture
def copy(exported, tmp_path):
  """The device's part of a bundle, and a function that spoils its manifest."""
  shutil.copy(exported.folder / 'edge.tflite', tmp_path)
  text = (exported.folder / 'manifest.json').read_text()

  def spoil(path=(), value=None):
    manifest = json.loads(text)
    if path:
      *above, last = path
      inner = manifest
      for key in above:
        inner = inner[key]
      inner[last] = value
    (tmp_path / 'manifest.json').write_text(json.dumps(manifest))
    return tmp_path

  return spoil


def test_the_devices_part_suffices(copy, exported):
  found = bundle.read(copy())
  assert found.window_shape == (1, 32, 2)
  assert found.dim == 6
  assert found.grid == exported.cut.grid
  assert found.labels == ('sit', 'walk', 'run')
  released = found.edge(WINDOW)
  steps = released / np.float32(found.grid)
  np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_a_manifest_of_format_1_is_read(copy):
  manifest = json.loads((copy() / 'manifest.json').read_text())
  for half in ('edge', 'cloud'):
    del manifest[half]['paired_with']
  del manifest['wire'], manifest['variant']
  (copy() / 'manifest.json').write_text(json.dumps(manifest | {'format': 1}))
  assert bundle.read(copy()).grid == manifest['grid']


@pytest.mark.parametrize(
  ('path', 'value', 'told'),
  [
    (('format',), 3, 'format 1 or 2'),
    (('edge', 'sha256'), '00', 'not of one pair'),
    (('edge', 'file'), 'other.tflite', 'could not read'),
    (('edge', 'paired_with'), '00', 'not of one pair'),
    (('cloud', 'sha256'), '00', 'not of one pair'),
    (('cloud', 'inputs', 'released', 'shape'), [1, 5], r'takes \[1, 5\]'),
    (('edge', 'inputs', 'x', 'shape'), [2, 1, 32, 2], 'one window'),
    (('edge', 'inputs', 'x', 'shape'), [1, 1, 16, 2], 'does not run'),
    (('edge', 'inputs', 'noise', 'shape'), [5], 'another shape'),
    (('labels',), ['sit', 'walk'], '2 labels'),
    (('wire', 'grid'), 0, 'grid is 0'),
    (('wire', 'grid'), 'x', 'does not describe a bundle'),
    (('edge',), None, 'does not describe a bundle'),
    (('edge',), {}, "does not describe a bundle: KeyError 'sha256'"),
  ],
)
def test_a_bundle_that_does_not_fit(copy, path, value, told):
  with pytest.raises(failures.BadBundle, match=told):
    bundle.read(copy(path, value))


def test_files_that_are_missing_or_damaged(copy, tmp_path):
  with pytest.raises(failures.BadBundle, match=r'could not read .*manifest'):
    bundle.read(tmp_path / 'none')
  folder = copy()
  with open(folder / 'edge.tflite', 'ab') as file:
    file.write(b'0')
  with pytest.raises(failures.BadBundle, match=r'has sha256 \w{64}; the man'):
    bundle.read(folder)
  (folder / 'manifest.json').write_text('{')
  with pytest.raises(failures.BadBundle, match='is damaged'):
    bundle.read(folder)


def test_a_runtime_that_lacks_an_operation_is_named(copy, monkeypatch):
  def lacking(folder):
    raise ValueError("Didn't find op for builtin opcode 'CONV_2D' version '9'")

  folder = copy(('tested_with',), {'ai_edge_litert': '9.9.9'})
  monkeypatch.setattr(bundle.device, 'Edge', lacking)
  with pytest.raises(failures.BadBundle) as error:
    bundle.read(folder)
  text = str(error.value)
  assert 'tested with 9.9.9' in text
  assert "'CONV_2D' version '9'" in text


def _forbid(monkeypatch, module):
  def forbidden(*args, **kwargs):
    raise AssertionError(f'{module.__name__} was reached for')

  for name in dir(module):
    if not name.startswith('_') and callable(getattr(module, name)):
      monkeypatch.setattr(module, name, forbidden)


def test_noise_comes_from_the_operating_system_alone(copy, monkeypatch):
  found = bundle.read(copy())
  for module in (np.random, random, secrets):
    _forbid(monkeypatch, module)
  sizes = []

  def urandom(size, system=os.urandom):
    sizes.append(size)
    return system(size)

  monkeypatch.setattr(os, 'urandom', urandom)
  first, second = found.edge(WINDOW), found.edge(WINDOW)
  assert (first != second).any()
  # Three pairs of numbers, 64 bits each.
  assert sizes == [48, 48]
  # With that held still nothing else moves, whatever else there might be.
  monkeypatch.setattr(os, 'urandom', lambda size: bytes(range(size)))
  fixed = [bundle.read(copy()).edge(WINDOW) for _ in range(3)]
  np.testing.assert_array_equal(fixed[0], fixed[1])
  np.testing.assert_array_equal(fixed[0], fixed[2])
