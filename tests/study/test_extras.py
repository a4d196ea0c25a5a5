"""A package that is not installed: one line with the command that mends it."""

import re
import subprocess
import sys

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import audio, package_files
from hybrid_jax.deploy.export import cloud_models, tflite, unsupported_ops
from hybrid_jax.metrics import similarity
from hybrid_jax.models.pretrained import readers
from hybrid_jax.study import config_files, extras, runner
from tests import studies


def _images():
  x = np.zeros((4, 8, 8, 1), np.float32)
  return similarity.image(x, x, np.arange(4))


_CALLS = [
  ('skimage', 'images', _images),
  ('skimage', 'images', lambda: extras.check('images')),
  ('soundfile', 'audio', audio.soundfile),
  ('tensorflow', 'export', lambda: tflite.convert(abs, {'x': (1, 4)}, 'y')),
  ('tensorflow', 'export', lambda: cloud_models.write_saved_model(None, None)),
  ('tensorflow', 'export', lambda: extras.check('export')),
  ('ai_edge_litert', 'export', unsupported_ops.schema),
  ('ai_edge_litert', 'export', lambda: tflite.load(b'', {})),
  ('ai_edge_litert', 'export', lambda: extras.check('export')),
]


@pytest.mark.parametrize(('module', 'extra', 'call'), _CALLS)
def test_a_missing_package_names_its_extra(module, extra, call, monkeypatch):
  for name in list(sys.modules):
    if name.partition('.')[0] == module:
      monkeypatch.delitem(sys.modules, name)
  monkeypatch.setitem(sys.modules, module, None)
  with pytest.raises(errors.UserError) as caught:
    call()
  assert f"pip install 'hybrid-jax[{extra}]'" in str(caught.value)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', ['watch', 'faces', 'digits'])
def test_a_missing_data_set_names_its_extra(name):
  with pytest.raises(errors.UserError, match='not installed') as caught:
    package_files.find_folder('no_such_package', data_set=name)
  assert f"pip install 'hybrid-jax[{name}]'" in str(caught.value)


@pytest.mark.parametrize(
  ('module', 'ending', 'command'),
  [
    ('h5py', '.h5', "pip install 'hybrid-jax[pretrained]'."),
    ('safetensors', '.safetensors', "pip install 'hybrid-jax[pretrained]'."),
    ('torch', '.pt', 'pip install torch.'),
  ],
)
def test_missing_readers_of_weights(
  module, ending, command, tmp_path, monkeypatch
):
  monkeypatch.setattr(readers, '_installed', lambda name: name != module)
  path = tmp_path / f'weights{ending}'
  path.write_bytes(b'x')
  with pytest.raises(errors.UserError) as caught:
    readers.check(path)
  assert command in str(caught.value)


def test_a_server_needs_its_extra(tmp_path):
  script = (
    'import sys\n'
    "sys.modules['starlette'] = None\n"
    'from hybrid_jax.cli import main\n'
    "sys.argv = ['hybrid-jax', 'serve', '--bundle=none']\n"
    'main.main()\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', script],
    cwd=studies.ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 1
  assert re.fullmatch(
    r"error: serving needs \S+: pip install 'hybrid-jax\[serve\]'\.\n",
    done.stderr,
  )


def test_a_study_that_cannot_export_says_so_first(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow', None)
  with pytest.raises(errors.UserError, match=r'hybrid-jax\[export\]'):
    runner.run(config_files.load('watch:small'), tmp_path / 'run')
  assert not (tmp_path / 'run').exists()
