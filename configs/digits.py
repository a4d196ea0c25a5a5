"""Which digit is said, but not who says it: 3,000 utterances of 6 speakers.

    hybrid-jax study --config=digits --workdir=runs/digits

Needs `pip install 'hybrid-jax[digits]'`. All digits and all speakers are
equally frequent. The study took 6 minutes on two cores, 9 of processor time;
two and a half of the 6 are the strangers. Results on the test fold at the dense
layer, first for the speakers of the training set (chance: digit 10 %, speaker
17 %), then for those whom the network never heard (chance 10 %, 50 %):

- simple features: utility 98 %, speaker found 97 %; strangers: 59 %, 99 %;
- noisy reduced Siamese, six numbers: 96 %, 23 %; 59 %, 80 %;
- bounded, four numbers: 99 %, 18 %, a ceiling of 31 %; 58 %, 83 %;
- snapped, four numbers: 99 %, 18 %, a ceiling of 26 %; 60 %, 76 %;
- the answer alone: 17 %; 71 %.

So it shows how little a figure for the people of the training set can say about
others. `docs/results.md` has the intervals.

`:full` adds the slow measures. `:small` is a test, whose figures mean nothing.
"""

import ml_collections

from hybrid_jax.study import config_parts


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of `hybrid_jax.datasets.digits`.

  Args:
    arg: nothing, or one of `config_parts.VARIANTS`; see `config_parts.shrink`.
  """
  config_parts.check_variant(arg, 'digits')
  c = config_parts.get_config(
    {'name': 'digits'}, {'name': 'cnn1d'}, {'conv3': 8, 'dense1': 6}
  )
  c.release.prototypes = 10  # as many as there are classes
  config_parts.shrink(c, arg)
  return c
