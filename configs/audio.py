"""A study of your own sound: a folder of WAV or FLAC files with a `labels.csv`.

    hybrid-jax study --config=audio:FOLDER --workdir=runs/sound

`hybrid_jax.datasets.audio` describes the folder. Words can follow it, as in
`:FOLDER,rate=8000,small`: `rate=` in Hz, `bands=`, `window=` and `hop=` in
spectra, `trim=` in dB, and `full`, `small` or `tune`. Check the data first:

    hybrid-jax check-data --config=audio:FOLDER

It needs soundfile: `pip install 'hybrid-jax[audio]'`.
"""

import ml_collections

from hybrid_jax.study import config_parts, folder_config
from hybrid_jax.training import augmentation

_KEYS = ('rate', 'bands', 'window', 'hop', 'trim')


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of a folder of sounds, by `cnn1d` on log-mel spectra.

  Args:
    arg: the folder, and words after commas.

  Raises:
    ValueError: the folder is missing, or a word is unknown.
    UserError: `labels.csv` is invalid.
  """
  data, variant = folder_config.parse('audio', arg, _KEYS)
  c = config_parts.get_config(
    data, {'name': 'cnn1d', 'options': {'dense': 64}}, {'dense1': 6}
  )
  folder_config.fit_to_data(c)
  c.augment.update(augmentation.PRESETS['sound'])
  config_parts.shrink(c, variant)
  return c
