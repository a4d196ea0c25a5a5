import pytest

from hybrid_jax.deploy.formats import device


@pytest.mark.parametrize(
  ('header', 'channel'),
  [
    ('acc (m/s²)', 'acc (m/s2)'),
    ('acc (m/s^2)', 'acc (m/s2)'),
    ('acc (m s-2)', 'acc (m/s2)'),
    ('gyr (°/s)', 'gyr (deg/s)'),
    ('gyr (dps)', 'gyr (deg/s)'),
    ('Acc_X [g]', 'acc x (g)'),
    ('acc', 'acc (g)'),
    ('acc (g)', 'acc'),
  ],
)
def test_spellings_of_one_channel(header, channel):
  assert device.order_columns(['t', header], [channel]) == [1]


def test_of_two_columns_of_a_name_the_one_with_the_unit_is_taken():
  header = ['acc (m/s2)', 'acc (g)']
  assert device.order_columns(header, ['acc (g)']) == [1]


@pytest.mark.parametrize(
  ('header', 'channel'),
  [('acc (m/s2)', 'acc (g)'), ('acc (mg)', 'acc (g)'), ('p (Pa)', 'p (pA)')],
)
def test_other_units(header, channel):
  with pytest.raises(ValueError, match='in another unit'):
    device.order_columns([header], [channel])
