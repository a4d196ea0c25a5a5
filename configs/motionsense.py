r"""Which activity, but not who, nor of which gender: MotionSense.

    python -m launch.study --workdir=runs/motionsense \
      --config=configs/motionsense.py --config.data.manual_dir=DIR

DIR holds `A_DeviceMotion_data/` and `data_subjects_info.csv`, unpacked from
https://github.com/mmalekz/motion-sense. 24 people, six activities; long trials
train, their last part validates, short trials test.

`:fast`, with `--config.model.split_points=dense1`, took 8 minutes on two cores
that did other work too, one seed. On the test fold (chance: person 5.4 %,
gender 58.1 %), one window / all windows of a recording: simple features:
utility 95.6 % [92.9, 97.6], person 33.5 / 59.7 %, gender 72.9 / 83.3 %; noisy
reduced Siamese, six numbers: 95.4 % [92.7, 97.5], 5.0 / 10.6 %, 57.6 / 58.3 %;
bounded, four numbers: 95.1 % [92.4, 97.1], 4.6 / 5.4 %, 58.1 / 58.3 %, and a
ceiling of 18 % for the person. Without `:fast` all five split points are
attacked by all kinds of attackers, which is hours.
"""

import ml_collections

from configs import common
from hybrid_jax.datasets import motionsense


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """The study of `hybrid_jax.datasets.motionsense`.

  Args:
    arg: nothing, or one of `common.VARIANTS`; see `common.shrink`.
  """
  common.check_variant(arg, 'configs/motionsense.py')
  c = common.get_config()
  c.data = ml_collections.ConfigDict(
    {'name': 'motionsense', **motionsense.DEFAULTS, 'hop': 64}
  )
  c.augment.gain = c.augment.time_scale = 0.1
  c.model.name = 'cnn1d_deep'
  c.model.options = ml_collections.ConfigDict(
    {'widths': (32, 64, 64, 64), 'kernel': 5, 'dense': 64}
  )
  common.cut(c, {'conv1': 8, 'conv2': 8, 'conv3': 8, 'conv4': 8, 'dense1': 6})
  # From early cuts on, these train a large network again for every attack.
  c.attack.only_at.transfer = c.attack.only_at.decensor = ('dense1',)
  c.training.steps = 4800
  c.training.every = 400
  c.siamese.steps = 900
  c.release.prototypes = 6
  common.shrink(c, arg)
  if arg != 'tune' and 'rivals' in c:
    del c.rivals  # Compared on the watch's recordings; `:tune` does it here.
  return c
