"""Pictures of rebuilt inputs on the page."""

import base64
import io

import numpy as np
import pytest

from hybrid_jax.report import reconstructions

image = pytest.importorskip('PIL.Image')


@pytest.mark.parametrize('channels', [1, 3])
def test_images_hold_the_scaled_pixels(channels):
  original = np.linspace(-1, 1, 2 * 4 * 5 * channels)
  original = original.reshape(2, 4, 5, channels)
  row = {
    'split_point': 'conv1',
    'embedding': 'simple',
    'reconstruction': {
      'attacks': {},
      # The second strip leaves the range of the first: it is clipped.
      'pictures': {
        'decoder': (2 * original).tolist(),
        'original': original.tolist(),
      },
    },
  }
  drawn = reconstructions.draw([row], None)
  assert drawn['kind'] == 'image'
  (strips,) = (r['strips'] for r in drawn['rows'])
  assert list(strips) == ['original', 'decoder']
  for name, factor in (('original', 1), ('decoder', 2)):
    for i, address in enumerate(strips[name]):
      head, _, data = address.partition(',')
      assert head == 'data:image/png;base64'
      pixels = np.asarray(image.open(io.BytesIO(base64.b64decode(data))))
      scaled = np.clip(np.round(127.5 * (factor * original[i] + 1)), 0, 255)
      np.testing.assert_array_equal(pixels.reshape(4, 5, channels), scaled)
