r"""Which activity, but not who, nor of which gender: MotionSense.

    python -m launch.study --workdir=runs/motionsense \
      --config=configs/motionsense.py --config.data.manual_dir=DIR

DIR holds `A_DeviceMotion_data/` and `data_subjects_info.csv`, unpacked from
https://github.com/mmalekz/motion-sense. 24 people, six activities; long trials
train, their last part validates, short trials test.

All five split points and 27 released vectors took 13 min 28 s on two quiet
cores, with a cold compilation cache. On the test fold, cut at the dense layer,
seed 0 (chance: person 5.4 / 4.2 %, gender 58.1 / 58.3 %), one window / all
windows of a recording: simple features: utility 96.2 % [93.8, 97.9], person
31.1 / 58.3 %, gender 72.6 / 84.7 %; noisy reduced Siamese, six numbers: 95.8 %
[93.4, 97.7], 4.8 / 5.9 %, 58.9 / 59.4 %; bounded, four numbers: 95.6 % [93.2,
97.5], 4.4 / 5.9 %, 58.1 / 59.4 %, and a ceiling of 16 % [32] for the person.
`docs/results.md` has the other split points and two more seeds. The steps were
chosen on validation, among 2,400 and 4,800.
"""

import ml_collections

from configs import common


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """The study of `hybrid_jax.datasets.motionsense`.

  Args:
    arg: nothing, or one of `common.VARIANTS`; see `common.shrink`.
  """
  common.check_variant(arg, 'configs/motionsense.py')
  c = common.get_config(
    {'name': 'motionsense', 'hop': 64},
    {'name': 'cnn1d_deep'},
    {'conv1': 8, 'conv2': 8, 'conv3': 8, 'conv4': 8, 'dense1': 6},
  )
  c.augment.gain = c.augment.time_scale = 0.1
  # From early cuts on, these train a large network again for every attack.
  c.attack.only_at.transfer = c.attack.only_at.decensor = ('dense1',)
  c.attack.measures.releases.counts = (1, 8, 64)
  c.attack.measures.attacker_data.shares = (0.25, 1.0)
  c.attack.measures.reconstruction.attacks = ('decoder',)
  c.attack.draws = 2  # of 4,960 test windows
  c.training.steps = 4800
  c.training.every = 400
  c.siamese.steps = 900
  c.release.prototypes = 6
  common.shrink(c, arg)
  if arg not in ('tune', 'grid') and 'grid' in c:
    del c.grid  # Compared on the watch's recordings; `:tune` does it here.
  return c
