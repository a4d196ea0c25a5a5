import numpy as np

from hybrid_jax.datasets import padding


def test_widths_and_rows_are_a_few_common_sizes():
  widths = [padding.width(d) for d in (1, 8, 9, 64, 65, 128, 129)]
  assert widths == [8, 8, 16, 64, 128, 128, 256]
  # Numbers of NumPy are numbers, too.
  assert [padding.classes(k) for k in np.array([3, 17, 65])] == [16, 64, 128]
  rows = [padding.rows(n) for n in (0, 1, 256, 257, 1200, 2048, 2049, 20_000)]
  assert rows == [256, 256, 256, 512, 1280, 2048, 2560, 20_480]
  for n in range(1, 30_000, 97):
    padded = padding.rows(n)
    assert padded % padding.TILE == 0
    assert n <= padded <= max(n + padding.TILE, 1.25 * n)


def test_padding_appends_zeros():
  x = np.arange(10.0).reshape(2, 5) + 1
  wide = padding.pad(x, {-1: 8, 0: 1})
  assert wide.shape == (2, 8)
  np.testing.assert_array_equal(wide[:, :5], x)
  assert not wide[:, 5:].any()


def test_blocks_have_one_size():
  first, last = padding.blocks(np.arange(1, 6)[:, None], 3)
  np.testing.assert_array_equal(first[:, 0], [1, 2, 3])
  np.testing.assert_array_equal(last[:, 0], [4, 5, 0])
