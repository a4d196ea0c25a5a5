"""Cloud halves for other servers: any batch size, the logits of the network."""

import jax
import numpy as np
import pytest
from jax import export as jax_export

from hybrid_jax import errors
from hybrid_jax.deploy.export import cloud_models
from tests.deploy.export import small_split


@pytest.fixture(scope='module')
def split():
  return small_split.make()


def _vectors(count):
  rng = np.random.default_rng(0)
  return rng.normal(size=(count, small_split.DIM)).astype('f4')


def test_tensorflow_loads_the_saved_model(split, tmp_path):
  tf = pytest.importorskip('tensorflow')
  cloud_models.write_saved_model(split, tmp_path / 'cloud')
  signatures = tf.saved_model.load(str(tmp_path / 'cloud')).signatures
  assert set(signatures) == {'infer', 'serving_default'}
  for count in (1, 7):
    vectors = _vectors(count)
    (name,) = signatures['infer'](released=vectors)
    assert name == 'logits'
    for signature in signatures.values():
      np.testing.assert_allclose(
        signature(released=vectors)['logits'].numpy(),
        jax.jit(split.cloud())(vectors),
        atol=1e-5,
      )


def test_a_folder_of_something_else_is_left_alone(split, tmp_path):
  (tmp_path / 'mine.txt').write_text('mine')
  with pytest.raises(errors.UserError, match='is no SavedModel'):
    cloud_models.write_saved_model(split, tmp_path)


def test_jax_alone_loads_the_export(split, tmp_path):
  path = tmp_path / 'cloud.jax_export'
  cloud_models.write_jax_export(split, path)
  exported = jax_export.deserialize(bytearray(path.read_bytes()))
  assert exported.platforms == ('cpu', 'cuda', 'tpu')
  for count in (1, 7):
    vectors = _vectors(count)
    np.testing.assert_allclose(
      exported.call(vectors), jax.jit(split.cloud())(vectors), atol=1e-5
    )
