"""Gender, but neither age group nor race: the faces of UTKFace.

    python -m launch.study --config=configs/utkface.py:PATH \
      --workdir=runs/utkface

PATH is a folder of the published images, or an `.npz` of them; see
`hybrid_jax.datasets.utkface`. For non-commercial research only. After PATH may
stand a variant, as `:PATH,small`.
"""

import ml_collections

from configs import common
from hybrid_jax.datasets import utkface


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """The study of `hybrid_jax.datasets.utkface`.

  Args:
    arg: the path, then a comma and one of `common.VARIANTS`; without a path
      `data.path` is still to be set.
  """
  path, _, variant = arg.partition(',')
  if path in common.VARIANTS:
    path, variant = variant, path
  common.check_variant(variant, 'configs/utkface.py:PATH')
  c = common.get_config()
  c.data = ml_collections.ConfigDict({'name': 'utkface', **utkface.DEFAULTS})
  c.data.path = path
  c.model.name = 'vgg16'
  c.model.options = ml_collections.ConfigDict(
    {'width': 0.25, 'dense': 64, 'norm': True}
  )
  common.cut(c, {'pool4': 8, 'fc7': 6})
  c.release.prototypes = 2  # as many as there are classes
  common.shrink(c, variant)
  return c
