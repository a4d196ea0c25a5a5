r"""Which activity, but neither who nor which gender: MotionSense.

    hybrid-jax study --workdir=runs/motionsense \
      --config=motionsense --config.data.manual_dir=DIR

DIR has `A_DeviceMotion_data/` and `data_subjects_info.csv`, unpacked from
https://github.com/mmalekz/motion-sense. There are 24 people and six activities.
The first part of each long trial is for training, its last part for validation,
and the short trials for the test.

All five split points, 27 released vectors and three folds of strangers took 64
minutes on two cores that did other work too. Results at the dense layer, seed
0, from one window / all windows of a recording: first for people of the
training set (chance: person 5.4 / 4.2 %, gender 58.1 / 58.3 %), then for people
whom the network never saw (15.4 / 12.5 %, 59.6 / 58.3 %):

- simple features: utility 96.2 % [93.6, 98.1], person 33.5 / 61.8 %, gender
  71.1 / 77.1 %; strangers: 94.8 % [92.3, 97.0], 45.4 / 69.4 %, 72.0 / 81.9 %;
- noisy reduced Siamese, six numbers: 96.1 %, 5.2 / 7.6 %, 58.0 / 59.0 %; 94.2
  %, 20.7 / 35.1 %, 62.1 / 70.1 %;
- bounded, four numbers: 95.4 %, 4.9 / 6.9 %, 58.1 / 56.9 %; 93.9 %, 15.1 / 26.0
  %, 60.1 / 61.1 %;
- snapped, four numbers: 95.0 %, 4.6 / 7.3 %, 58.1 / 59.0 %; 94.0 %, 14.2 / 18.4
  %, 59.8 / 59.0 %, and from 64 windows of one stranger 19.4 %.

`docs/results.md` has the other split points and two more seeds. The number of
steps was chosen on validation, from 2,400 and 4,800.
"""

import ml_collections

from hybrid_jax.study import config_parts
from hybrid_jax.training import augmentation


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of `hybrid_jax.datasets.motionsense`.

  Args:
    arg: nothing, or one of `config_parts.VARIANTS`; see `config_parts.shrink`.
  """
  config_parts.check_variant(arg, 'motionsense')
  c = config_parts.get_config(
    {'name': 'motionsense', 'hop': 64},
    {'name': 'cnn1d_deep'},
    {'conv1': 8, 'conv2': 8, 'conv3': 8, 'conv4': 8, 'dense1': 6},
  )
  c.augment.update(augmentation.PRESETS['motion'])
  # At early cuts, these attacks train a large network each time.
  c.attack.only_at.transfer = c.attack.only_at.decensor = ('dense1',)
  c.attack.measures.releases.counts = (1, 8, 64)
  c.attack.measures.attacker_data.shares = (0.25, 1.0)
  c.attack.measures.reconstruction.attacks = ('decoder',)
  c.attack.draws = 2  # for each of 4,960 test windows
  c.training.steps = 4800
  c.training.every = 400
  c.siamese.steps = 900
  c.release.prototypes = 6
  config_parts.shrink(c, arg)
  if arg == 'small':
    c.strangers.people_folds = 2
  if arg not in ('tune', 'grid') and 'grid' in c:
    del c.grid  # The watch study has it; here `:tune` has it.
  return c
