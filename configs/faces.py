"""Glasses or none, but not who: 400 faces of 40 people.

    python -m launch.study --config=configs/faces.py --workdir=runs/faces

Needs `pip install 'hybrid-jax[faces]'`. On the test fold the largest share has
no glasses, 66 %; each of 40 people is there twice, 2.5 %. `:fast` leaves out
what takes long, and `:small` shows that all works, and finds nothing out.
"""

import ml_collections

from configs import common
from hybrid_jax.datasets import faces


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """The study of `hybrid_jax.datasets.faces`.

  Args:
    arg: nothing, or one of `common.VARIANTS`; see `common.shrink`.
  """
  common.check_variant(arg, 'configs/faces.py')
  c = common.get_config()
  c.data = ml_collections.ConfigDict({'name': 'faces', **faces.DEFAULTS})
  c.model.name = 'vgg16'
  c.model.options = ml_collections.ConfigDict(
    {'width': 0.125, 'dense': 64, 'norm': True}
  )
  common.cut(c, {'pool4': 8, 'fc7': 6})
  c.release.prototypes = 2  # as many as there are classes
  common.shrink(c, arg)
  return c
