import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.datasets import image_files

image = pytest.importorskip('PIL.Image')
_TURN = {1: 0, 6: 1, 3: 2, 8: 3}  # EXIF's orientation to quarters of a turn


@pytest.mark.parametrize('orientation', _TURN)
@pytest.mark.parametrize('mode', ['L', 'RGB'])
def test_a_picture_is_upright(tmp_path, orientation, mode):
  upright = np.zeros((64, 32), np.uint8)
  upright[:32] = 255
  stored = image.fromarray(np.rot90(upright, _TURN[orientation]))
  exif = stored.getexif()
  exif[0x0112] = orientation
  stored.save(tmp_path / 'x.jpg', exif=exif.tobytes(), quality=95)
  pixels = image_files.read(tmp_path / 'x.jpg', mode)
  assert pixels.shape[:2] == (64, 32)
  assert pixels[:28].min() > 200
  assert pixels[36:].max() < 50


@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
def test_more_than_8_bits_are_refused_and_not_cut_off(tmp_path, dtype):
  path = tmp_path / 'x.tiff'
  image.fromarray(np.full((8, 8), 1000, dtype)).save(path)
  with pytest.raises(errors.UserError, match='more than 8 bits a channel'):
    image_files.read(path, 'L')
