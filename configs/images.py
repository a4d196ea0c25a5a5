"""A study of your own pictures: a folder of image files with a `labels.csv`.

    hybrid-jax study --config=images:FOLDER --workdir=runs/pictures

`hybrid_jax.datasets.images` describes the folder. Words can follow it, as in
`:FOLDER,size=48,grey=1,small`: `size=48` or `size=48x64` (height, width),
`grey=1`, and `full`, `small` or `tune`. Look at the data first:

    hybrid-jax check-data --config=images:FOLDER --page=check.html

Without a GPU, start with `size=32`.
"""

import ml_collections

from hybrid_jax.study import config_parts, folder_config
from hybrid_jax.training import augmentation

_DENSE = 64


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of a folder of pictures, by a quarter-wide VGG-16.

  Args:
    arg: the folder, and words after commas.

  Raises:
    ValueError: the folder is missing, or a word is unknown.
    UserError: `labels.csv` is invalid.
  """
  data, variant = folder_config.parse('images', arg, ('size', 'grey'))
  options = {'width': 0.25, 'norm': True, 'dense': _DENSE}
  c = config_parts.get_config(
    data, {'name': 'vgg16', 'options': options}, {'fc7': 6}
  )
  folder_config.fit_to_data(c)
  c.augment.update(augmentation.PRESETS['picture'])
  config_parts.shrink(c, variant)
  return c
