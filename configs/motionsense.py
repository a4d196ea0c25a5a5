r"""Which activity, but neither who nor which gender: MotionSense.

    hybrid-jax study --workdir=runs/motionsense \
      --config=motionsense --config.data.manual_dir=DIR

DIR has `A_DeviceMotion_data/` and `data_subjects_info.csv`, unpacked from
https://github.com/mmalekz/motion-sense. There are 24 people and six activities.
The first part of each long trial is for training, its last part for validation,
and the short trials for the test.

All five split points and 27 released vectors took 13 min 28 s on two quiet
cores, with a cold compilation cache. Results on the test fold at the dense
layer, seed 0, from one window / all windows of a recording (chance: person 5.4
/ 4.2 %, gender 58.1 / 58.3 %):

- simple features: utility 96.2 % [93.8, 97.9], person 31.1 / 58.3 %, gender
  72.6 / 84.7 %;
- noisy reduced Siamese, six numbers: 95.8 % [93.4, 97.7], 4.8 / 5.9 %, 58.9 /
  59.4 %;
- bounded, four numbers: 95.6 % [93.2, 97.5], 4.4 / 5.9 %, 58.1 / 59.4 %, and a
  ceiling of 16 % [32] for the person.

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
