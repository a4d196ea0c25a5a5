import json
import pathlib

import ml_collections
import numpy as np
import pytest

from configs import arrays
from hybrid_jax import errors
from hybrid_jax.datasets import digests
from hybrid_jax.study import inputs, runner


def _write(folder, scale=1.0):
  n = 120
  rng = np.random.default_rng(0)
  group = np.arange(n) // 2
  np.savez(
    folder / 'my.npz',
    x=scale * rng.normal(size=(n, 16, 2)),
    primary=group % 2,
    sensitive_person=group // 2 % 3,
    group=group,
  )
  return folder / 'my.npz'


def _data_config(**settings):
  return ml_collections.ConfigDict(
    {'data': settings, 'model': {'pretrained': {'path': ''}}}
  )


def test_the_files_of_a_config(tmp_path):
  for name in ('labels.csv', 'a/r.csv', 'a/note.txt', '.x.csv', 'run/m.csv'):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(name)
  weights = tmp_path / 'weights.h5'
  weights.write_text('w')
  config = _data_config(name='recordings', folder=str(tmp_path))
  config.model.pretrained.path = str(weights)
  names = ['a/r.csv', 'labels.csv', 'weights.h5']
  paths = inputs.of_config(config, tmp_path / 'run')
  assert paths == {str(tmp_path / n): tmp_path / n for n in names}
  folder = _data_config(name='utkface', path=str(tmp_path / 'a'))
  assert list(inputs.of_config(folder, tmp_path / 'run')) == [
    str(tmp_path / 'a/note.txt'),
    str(tmp_path / 'a/r.csv'),
  ]
  assert not inputs.of_config(_data_config(name='watch'), tmp_path)


def test_a_changed_file_is_refused_by_every_stage(tmp_path):
  path, workdir = _write(tmp_path), tmp_path / 'run'
  config = arrays.get_config(f'{path},small')
  study = runner.run(config, workdir, ('data',))
  before = np.load(workdir / 'normalizer.npz')
  np.testing.assert_array_equal(before['mean'], study.normalizer.mean)
  assert list(json.loads((workdir / digests.NAME).read_text())) == [str(path)]
  _write(tmp_path, scale=50)
  for work in (
    lambda: runner.run(config, workdir, ('data',)),
    lambda: runner.run(config, workdir, ('report',)),
    lambda: runner.open_study(workdir),
  ):
    with pytest.raises(errors.UserError, match=r'my\.npz has other content'):
      work()
  _write(tmp_path)
  assert runner.open_study(workdir).workdir == workdir


def test_the_normalizer_is_that_of_the_work_directory(tmp_path):
  path, workdir = _write(tmp_path), tmp_path / 'run'
  runner.run(arrays.get_config(f'{path},small'), workdir, ('data',))
  np.savez(
    workdir / 'normalizer.npz', mean=np.float32([5, 6]), std=np.float32([7, 8])
  )
  study = runner.open_study(workdir)
  assert study.normalizer.mean.tolist() == [5, 6]
  np.testing.assert_allclose(
    study.x[0, 0, 0], (study.data.x[0, 0, 0] - [5, 6]) / [7, 8], rtol=1e-6
  )


def test_a_work_directory_of_an_earlier_version_has_no_digests(tmp_path):
  path, workdir = _write(tmp_path), tmp_path / 'run'
  runner.run(arrays.get_config(f'{path},small'), workdir, ('data',))
  pathlib.Path(workdir / digests.NAME).unlink()
  runner.open_study(workdir)
  assert not (workdir / digests.NAME).exists()
