"""Which exercise, but not who: the smart-watch study.

    hybrid-jax study --config=watch --workdir=runs/watch

On two cores without a GPU and with a cold compilation cache it took 13 minutes,
20 of processor time (9 and 15 in a quicker hour of the same machine). Results
at the dense split, first for people of the training set (chance: exercise 17 %,
person 13 %), then for people whom the network never saw, in three folds (chance
for the person 35 %; from 64 windows together 30 %):

- simple features: utility 96 %, person found 86 %; strangers: 87 %, 95 %, from
  64 windows 100 %;
- noisy reduced Siamese, six numbers: 95 %, 21 %; 87 %, 51 %, 100 %;
- bounded, four numbers: 95 %, 16 %, a ceiling of 40 %; 87 %, 43 %, 88 %;
- snapped, four numbers: 95 %, 14 %, a ceiling of 33 %; 88 %, 40 %, 76 %;
- the answer alone: 13 %; 39 %, from 64 windows 69 %.

The README has the intervals. Variants: `:full` adds the curves, the
reconstructions and the grid, also in the work directory of a finished study.
`:small` is a test of some minutes, whose figures mean nothing.
`:tune` trains every defence with a range of weights. `:grid` is a grid for
`hybrid-jax grid`.
"""

import ml_collections

from hybrid_jax.study import config_parts
from hybrid_jax.training import augmentation


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of `hybrid_jax.datasets.watch`.

  Args:
    arg: nothing, or one of `config_parts.VARIANTS`; see `config_parts.shrink`.
  """
  config_parts.check_variant(arg, 'watch')
  c = config_parts.get_config(
    {'name': 'watch'},
    {'name': 'cnn1d', 'options': {'kernel': 3}},
    {'conv1': 8, 'conv2': 8, 'conv3': 8, 'dense1': 6},
  )
  c.augment.update(augmentation.PRESETS['motion'])
  # From the cloud's weights it was worse at every split point but dense1, where
  # there are none.
  c.attack.transfer.starts = ('fresh weights',)
  # Five folds of ten people leave two strangers each, and a chance of one half.
  c.strangers.people_folds = 3
  config_parts.shrink(c, arg)
  if arg == 'small':
    c.strangers.people_folds = 2
  return c
