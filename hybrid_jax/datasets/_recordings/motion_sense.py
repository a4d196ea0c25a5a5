"""MotionSense as a TFDS builder: one example a recording."""

import pathlib

import numpy as np
import tensorflow_datasets as tfds

from hybrid_jax import errors
from hybrid_jax.datasets._recordings import reader

SPLIT = 'recordings'


class MotionSense(tfds.core.GeneratorBasedBuilder):
  """Reads the published files in `manual_dir`; see `recordings`.

  The published trials say which recordings train and test, so there is one
  split of all. Given as `file_format='array_record'`, it is prepared and read
  without TensorFlow.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'As published.'}  # noqa: RUF012
  MANUAL_DOWNLOAD_INSTRUCTIONS = reader.ADVICE
  # TFDS 4.9.10 looks for lists of checksums beside a builder's code, of which
  # there are none here, with a package that it does not require.
  code_path = None

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description='24 people, 6 activities, a phone in the trouser pocket, 50'
      ' samples a second.',
      features=tfds.features.FeaturesDict(
        {
          'signal': tfds.features.Tensor(
            shape=(None, len(reader.CHANNELS)), dtype=np.float32
          ),
          'activity': tfds.features.ClassLabel(names=list(reader.ACTIVITIES)),
          'trial': np.int32,
          'code': np.int32,
          'gender': tfds.features.ClassLabel(names=list(reader.GENDERS)),
          'age': np.float32,  # years
          'height': np.float32,  # cm
          'weight': np.float32,  # kg
        }
      ),
      homepage='https://github.com/mmalekz/motion-sense',
      citation='Malekzadeh et al., "Mobile sensor data anonymization", IoTDI'
      ' 2019.',
    )

  def _split_generators(self, dl_manager):
    folder = pathlib.Path(dl_manager.manual_dir)
    return {SPLIT: self._generate_examples(folder)}

  def _generate_examples(self, folder):
    people = reader.read_people(folder / reader.PEOPLE)
    for recording in reader.find(folder):
      if recording.code not in people:
        raise errors.UserError(
          f'{folder / reader.PEOPLE} has no row of code {recording.code},'
          f' of whom there is {recording.name}.'
        )
      yield (
        recording.name,
        {
          'signal': reader.read_signal(folder / recording.name),
          'activity': recording.activity,
          'trial': recording.trial,
          'code': recording.code,
          **people[recording.code],
          'gender': int(people[recording.code]['gender']),
        },
      )
