"""Which digit is said, but not who says it: 3,000 utterances of 6 speakers.

    hybrid-jax study --config=digits --workdir=runs/digits

Needs `pip install 'hybrid-jax[digits]'`. All digits and all speakers are
equally frequent, so chance is 10 % and 17 %. The study took 3 min 54 s on two
cores. Results on the test fold at the dense layer:

- simple features: utility 98.0 % [96.8, 99.0], speaker found 97.5 % [96.2,
  98.7];
- noisy reduced Siamese, six numbers: 97.0 % [96.0, 98.0], 22.5 % [20.4, 24.7];
- bounded, four numbers: 99.0 % [98.2, 99.6], 16.2 % [14.1, 18.4], ceiling 25 %
  [36].

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
