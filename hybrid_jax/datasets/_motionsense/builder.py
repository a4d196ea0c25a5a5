"""The TFDS builder of MotionSense: each recording is an example."""

import pathlib

import numpy as np
import tensorflow_datasets as tfds

from hybrid_jax import errors
from hybrid_jax.datasets._motionsense import published_files

SPLIT = 'recordings'


class MotionSense(tfds.core.GeneratorBasedBuilder):
  """Reads the published files in `manual_dir`; see `published_files`.

  It has one split of all recordings: the number of the trial decides whether a
  recording is for training or for the test. With `file_format='array_record'`
  the data are prepared and read without TensorFlow.
  """

  VERSION = tfds.core.Version('1.0.0')
  RELEASE_NOTES = {'1.0.0': 'As published.'}  # noqa: RUF012
  MANUAL_DOWNLOAD_INSTRUCTIONS = published_files.DOWNLOAD_ADVICE
  # TFDS 4.9.10 would look for checksum files beside a builder's code, with a
  # package that it does not install. There are none here.
  code_path = None

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description='24 people, 6 activities, a phone in the trouser pocket, 50'
      ' samples a second.',
      features=tfds.features.FeaturesDict(
        {
          'signal': tfds.features.Tensor(
            shape=(None, len(published_files.CHANNELS)), dtype=np.float32
          ),
          'activity': tfds.features.ClassLabel(
            names=list(published_files.ACTIVITIES)
          ),
          'trial': np.int32,
          'code': np.int32,
          'gender': tfds.features.ClassLabel(
            names=list(published_files.GENDERS)
          ),
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
    people = published_files.read_people(folder / published_files.PEOPLE)
    for recording in published_files.find_recordings(folder):
      if recording.code not in people:
        raise errors.UserError(
          f'{folder / published_files.PEOPLE} has no row of code'
          f' {recording.code}, the person of {recording.name}.'
        )
      yield (
        recording.name,
        {
          'signal': published_files.read_signal(folder / recording.name),
          'activity': recording.activity,
          'trial': recording.trial,
          'code': recording.code,
          **people[recording.code],
          'gender': int(people[recording.code]['gender']),
        },
      )
