"""Bundles that the device refuses, and where its noise comes from."""

import json
import os
import random
import secrets
import shutil

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.device import edge_half
from hybrid_jax.deploy.formats import device

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
  edge = edge_half.read(copy())
  assert edge.window_shape == (1, 32, 2)
  assert edge.dim == 6
  assert edge.grid == exported.split.grid
  assert edge.labels == ('sit', 'walk', 'run')
  released = edge.release(WINDOW)
  steps = released / np.float32(edge.grid)
  np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_the_range_and_the_channels_of_a_manifest(copy):
  x = ('edge', 'inputs', 'x')
  folder = copy((*x, 'channels'), ['acc (g)', 'gyr (rad/s)'])
  assert not edge_half.read(folder).has_range
  manifest = json.loads((folder / 'manifest.json').read_text())
  spec = manifest['edge']['inputs']['x']
  spec['range'] = {'mean': [0, 1], 'std': [1, 2], 'limit': [3, 4]}
  (folder / 'manifest.json').write_text(json.dumps(manifest))
  edge, raw = edge_half.read(folder), device.Edge(folder)
  assert edge.has_range
  assert edge.channels == ('acc (g)', 'gyr (rad/s)')
  window = np.zeros((1, 32, 2), np.float32)
  window[0, 5] = [3, -7]  # 3 and 4 deviations, which are the limits.
  assert edge.outside(window) is None
  window[0, 9, 1] = 11  # 5 deviations
  assert "'gyr (rad/s)' is up to 5 deviations" in str(edge.outside(window))
  with pytest.raises(device.OutOfRange, match=r'gyr .* 4 is the limit'):
    raw(window)
  assert raw(window, allow_out_of_range=True).shape == (1, 6)
  other = window[..., ::-1]
  with pytest.raises(device.OutOfRange, match='gyr'):
    raw(other, columns=['gyr (rad/s)', 'acc (g)'])
  with pytest.raises(ValueError, match=r"column 1 is 'gyr \(deg/s\)'"):
    raw(other, columns=['gyr (deg/s)', 'acc (g)'])
  spec['range']['std'] = [1]
  (folder / 'manifest.json').write_text(json.dumps(manifest))
  with pytest.raises(errors.UserError, match='1 numbers for 2 channels'):
    edge_half.read(folder)


def test_a_bundle_of_format_2_has_no_range(copy):
  folder = copy(('format',), 2)
  manifest = json.loads((folder / 'manifest.json').read_text())
  spec = manifest['edge']['inputs']['x']
  for name in ('channels', 'hertz', 'range'):
    del spec[name]
  spec['units'] = 'acc (g), gyr (rad/s)'
  (folder / 'manifest.json').write_text(json.dumps(manifest))
  edge = edge_half.read(folder)
  assert not edge.has_range
  assert edge.outside(1e6 + WINDOW) is None
  assert edge.channels == ('acc (g)', 'gyr (rad/s)')


@pytest.mark.parametrize(
  ('path', 'value', 'message'),
  [
    (('format',), 1, 'format 1; this version reads 2 and 3; export it again'),
    (('format',), 4, 'format 4; this version reads 2 and 3; update hybrid'),
    (('edge', 'sha256'), '00', 'halves are of two bundles'),
    (('edge', 'file'), 'other.tflite', 'could not read'),
    (('edge', 'file'), '../edge.tflite', 'outside of'),
    (('edge', 'paired_with'), '00', 'halves are of two bundles'),
    (('cloud', 'sha256'), '00', 'halves are of two bundles'),
    (
      ('cloud', 'inputs', 'released', 'shape'),
      [1, 5],
      r'releases .*\[1, 6\].* accepts .*\[1, 5\]',
    ),
    (('edge', 'inputs', 'x', 'shape'), [2, 1, 32, 2], 'one window'),
    (
      ('edge', 'inputs', 'x', 'shape'),
      [1, 1, 16, 2],
      r'inputs .*\[1, 1, 32, 2\].* says .*\[1, 1, 16, 2\]',
    ),
    (('edge', 'inputs', 'noise', 'shape'), [5], r'noise has the shape \[5\]'),
    (('edge', 'inputs', 'noise'), None, 'does not describe a bundle'),
    (('labels',), ['sit', 'walk'], '2 labels'),
    (('grid',), 0, 'grid is 0'),
    (('grid',), 'x', 'does not describe a bundle'),
    (('edge',), None, 'describes no edge half'),
    (('edge',), {}, r"does not describe a bundle \(KeyError: 'paired_with'\)"),
  ],
)
def test_a_bundle_that_does_not_fit(copy, path, value, message):
  with pytest.raises(errors.UserError, match=message):
    edge_half.read(copy(path, value))


def test_files_that_are_missing_or_damaged(copy, tmp_path):
  with pytest.raises(errors.UserError, match=r'could not read .*manifest'):
    edge_half.read(tmp_path / 'none')
  folder = copy()
  with open(folder / 'edge.tflite', 'ab') as file:
    file.write(b'0')
  with pytest.raises(errors.UserError, match=r'has sha256 \w{64}; the man'):
    edge_half.read(folder)
  (folder / 'manifest.json').write_text('{')
  with pytest.raises(errors.UserError, match='is damaged'):
    edge_half.read(folder)


def test_a_runtime_that_lacks_an_operation_is_named(copy, monkeypatch):
  def lacking(data):
    raise ValueError("Didn't find op for builtin opcode 'CONV_2D' version '9'")

  folder = copy(('tested_with',), {'ai_edge_litert': '9.9.9'})
  monkeypatch.setattr(device, 'Model', lacking)
  with pytest.raises(errors.UserError) as error:
    edge_half.read(folder)
  text = str(error.value)
  assert 'tested with ai-edge-litert 9.9.9' in text
  assert "'CONV_2D' version '9'" in text


def _forbid(monkeypatch, module, *allowed):
  def forbidden(*args, **kwargs):
    raise AssertionError(f'{module.__name__} was used')

  for name in dir(module):
    if (
      name not in allowed
      and not name.startswith('_')
      and callable(getattr(module, name))
    ):
      monkeypatch.setattr(module, name, forbidden)


def test_noise_comes_from_the_operating_system_alone(copy, monkeypatch):
  edge = edge_half.read(copy())
  _forbid(monkeypatch, np.random)
  _forbid(monkeypatch, secrets)
  _forbid(monkeypatch, random, 'SystemRandom')
  sizes = []

  def urandom(size, system=os.urandom):
    sizes.append(size)
    return system(size)

  # `SystemRandom` reads the system's generator by this name alone.
  assert random._urandom is os.urandom
  monkeypatch.setattr(random, '_urandom', urandom)
  first, second = edge.release(WINDOW), edge.release(WINDOW)
  assert (first != second).any()
  # Six numbers of at least 53 bits each, twice.
  assert len(sizes) == 12
  assert min(sizes) >= 7
  # If these bits stay the same, so does the noise: there is no other source.
  monkeypatch.setattr(random, '_urandom', lambda size: bytes(range(size)))
  fixed = [edge_half.read(copy()).release(WINDOW) for _ in range(3)]
  np.testing.assert_array_equal(fixed[0], fixed[1])
  np.testing.assert_array_equal(fixed[0], fixed[2])
