"""Your own sound: a folder of WAV or FLAC files, and a `labels.csv` in it.

Subfolders are read too. A sound becomes a series of log-mel spectra, and is cut
into windows. `hybrid_jax.datasets.label_table` describes `labels.csv`.
"""

import dataclasses
import functools
import math
import pathlib
import types
from collections.abc import Iterator

import ml_collections
import numpy as np
import scipy.signal

from hybrid_jax import errors, plugins, progress
from hybrid_jax.datasets import dataset, folds, label_table, sources

OPTIONS = {
  **label_table.OPTIONS,
  'rate': plugins.Option(
    16000, 'Rate that sounds are resampled to.', unit='Hz', low=1000
  ),
  'bands': plugins.Option(40, 'Mel bands.', low=4),
  'spectrum': plugins.Option(25.0, 'Length of a spectrum.', unit='ms', above=0),
  'step': plugins.Option(
    20.0, "From one spectrum's start to the next.", unit='ms', above=0
  ),
  'window': plugins.Option(96, 'Length of a window.', unit='spectra', low=8),
  'hop': plugins.Option(
    48, "From one window's start to the next.", unit='spectra', low=1
  ),
  'trim': plugins.Option(
    0.0,
    'Silence at both ends is cut: what is so far below the peak; 0 for none.',
    unit='dB',
    low=0,
  ),
  **folds.OPTIONS,
}
SUFFIXES = ('.flac', '.ogg', '.wav')

_FLOOR = 1e-10  # of the power, so that silence has a logarithm
SILENCE = np.float32(np.log10(_FLOOR))  # its spectrum, in all bands
_TRIM_BLOCK = 0.01  # seconds
_STREAMED = 2**31 - 8  # bytes; a program that streams writes such sizes


@dataclasses.dataclass(frozen=True)
class LogMel:
  """Settings of a log-mel spectrogram; see `OPTIONS`."""

  rate: int
  bands: int
  spectrum: float
  step: float
  trim: float

  @property
  def samples(self) -> tuple[int, int]:
    """Length and step of a spectrum in samples."""
    length, step = (
      max(round(ms * self.rate / 1000), 1) for ms in (self.spectrum, self.step)
    )
    return length, step

  def count(self, samples: int) -> int:
    """Returns how many spectra a sound of `samples` samples has."""
    length, step = self.samples
    return max(samples - length, 0) // step + 1


@dataclasses.dataclass(frozen=True)
class _Reader:
  """Reads one window as `[1, window, bands]`; the last file is kept."""

  files: tuple[str, ...]
  file: np.ndarray
  start: np.ndarray
  window: int
  settings: LogMel

  def __call__(self, index: int) -> np.ndarray:
    spectra = _cached(self.files[self.file[index]], self.settings)
    start = int(self.start[index])
    window = spectra[start : start + self.window]
    return pad(window, self.window)[None]


@functools.lru_cache(maxsize=4)
def _cached(path: str, settings: LogMel) -> np.ndarray:
  return log_mel(read(pathlib.Path(path), settings), settings)


def pad(spectra: np.ndarray, window: int) -> np.ndarray:
  """Pads `spectra [k, bands]` by silence to `[window, bands]`."""
  missing = window - len(spectra)
  return np.pad(spectra, ((0, missing), (0, 0)), constant_values=SILENCE)


def load(config: ml_collections.ConfigDict) -> dataset.Dataset:
  """Loads log-mel windows `[n, 1, window, bands]`, log10 of the power.

  Several channels are averaged, and other rates resampled. A sound of a window
  or more is cut into whole windows; what is left at its end is not used. A
  shorter one is padded by silence, which is printed. All windows of a file are
  in one fold. The files of one `group` are one recording; without `group` each
  file is. Without `fold`, the groups are split at random, so that each fold has
  its share of every class.

  Args:
    config: see `OPTIONS`.

  Raises:
    UserError: soundfile is not installed, or a file, column, row or value is
      missing or wrong; the message names it.
  """
  soundfile()
  labels = label_table.read(config, SUFFIXES, may_be_unlisted=True)
  folder = label_table.folder(config)
  settings = LogMel(
    config.rate, config.bands, config.spectrum, config.step, config.trim
  )
  check_bands(settings)
  counts, rates = _count_spectra(folder, labels.files, settings)
  labels = dataclasses.replace(
    labels, remarks=[*labels.remarks, *_low_rates(rates, settings.rate)]
  )
  file, start = [], []
  for i, count in enumerate(counts):
    starts = range(0, max(count - config.window, 0) + 1, config.hop)
    file += [i] * len(starts)
    start += starts
  short = np.flatnonzero(np.array(counts) < config.window)
  if len(short):
    progress.say(
      f'{folder}: files shorter than a window of {config.window} spectra,'
      f' padded by silence: {len(short)} of {len(counts)}, the first is'
      f' {labels.files[short[0]]}'
    )
  files = tuple(str(folder / name) for name in labels.files)
  reader = _Reader(
    files, np.array(file), np.array(start), config.window, settings
  )
  x = sources.FunctionSource(
    len(file), (1, config.window, config.bands), np.float32, reader
  )
  names = [f'{f:.0f} Hz (log10 power)' for f in band_centres(settings)]
  return label_table.make_dataset(config, labels, x, np.array(file), names)


def read(path: pathlib.Path, settings: LogMel) -> np.ndarray:
  """Reads a sound as `[samples]` float32 at `settings.rate`, one channel.

  Raises:
    UserError: the file is not a complete sound, is empty, or holds NaN or
      infinity.
  """
  sound = soundfile()
  try:
    x, rate = sound.read(path, dtype='float32', always_2d=True)
  except (OSError, RuntimeError) as e:
    raise _unreadable(path) from e
  if not len(x):
    raise errors.UserError(f'{path} holds no sample.')
  if not np.isfinite(x).all():
    raise errors.UserError(f'{path} holds NaN or infinity.')
  x = x.mean(axis=1)
  if rate != settings.rate:
    common = math.gcd(rate, settings.rate)
    x = scipy.signal.resample_poly(x, settings.rate // common, rate // common)
  return trim(x, settings.rate, settings.trim) if settings.trim else x


def _unreadable(path):
  size = path.stat().st_size if path.is_file() else None
  state = 'does not exist' if size is None else f'has {size} bytes'
  return errors.UserError(f'{path} cannot be read as a sound: it {state}.')


def trim(x: np.ndarray, rate: int, below: float) -> np.ndarray:
  """Cuts the silence at both ends.

  A block of 10 ms is silence if its power is `below` dB or more under that of
  the loudest block.

  Args:
    x: `[samples]`.
    rate: in Hz.
    below: in dB.

  Returns:
    `[samples']`, at least one block; a silent sound is returned unchanged.
  """
  block = max(int(_TRIM_BLOCK * rate), 1)
  starts = np.arange(0, len(x), block)
  power = np.add.reduceat(np.square(x, dtype=np.float64), starts)
  if not power.max():
    return x
  loud = np.flatnonzero(power > power.max() * 10 ** (-below / 10))
  return x[loud[0] * block : (loud[-1] + 1) * block]


def log_mel(x: np.ndarray, settings: LogMel) -> np.ndarray:
  """Computes the log-mel spectrogram `[spectra, bands]` of `x [samples]`.

  Each spectrum is the power of a Hann window, in triangular bands that are
  equally wide in mel, `2595 log10(1 + f / 700)` (O'Shaughnessy, 1987), up to
  half of the rate; then log10.

  Args:
    x: `[samples]`; a sound shorter than a spectrum is padded by zeros.
    settings: see `LogMel`.
  """
  length, step = settings.samples
  x = np.pad(x, (0, max(length - len(x), 0)))
  frames = np.lib.stride_tricks.sliding_window_view(x, length)[::step]
  window = scipy.signal.get_window('hann', length)
  spectra = np.fft.rfft(frames * window, axis=1) / window.sum()
  power = np.square(np.abs(spectra)) @ mel_filters(settings).T
  return np.log10(np.maximum(power, _FLOOR)).astype(np.float32)


def mel_filters(settings: LogMel) -> np.ndarray:
  """Returns the weights of each band, `[bands, frequencies]`.

  Each is a triangle of height 1, from the centre of the band before to that of
  the band after.
  """
  length, _ = settings.samples
  frequency = np.fft.rfftfreq(length, 1 / settings.rate)
  corners = _corners(settings)
  low, centre, high = (corners[i : i + settings.bands, None] for i in range(3))
  rising = (frequency - low) / (centre - low)
  falling = (high - frequency) / (high - centre)
  return np.maximum(np.minimum(rising, falling), 0)


def band_centres(settings: LogMel) -> np.ndarray:
  """Returns the frequency of the middle of each band in Hz, `[bands]`."""
  return _corners(settings)[1:-1]


def _corners(settings):
  top = 2595 * np.log10(1 + settings.rate / 2 / 700)
  mel = np.linspace(0, top, settings.bands + 2)
  return 700 * (10 ** (mel / 2595) - 1)


def check_bands(settings: LogMel) -> None:
  """Checks that every band holds a frequency of the spectrum.

  Raises:
    UserError: one of them holds none.
  """
  if not (mel_filters(settings) > 0).any(axis=1).all():
    raise errors.UserError(
      f'data.bands is {settings.bands}: some of them hold no frequency of a'
      f' spectrum of {settings.spectrum:g} ms at {settings.rate} Hz; take fewer'
      ' bands, or a longer data.spectrum.'
    )


def _count_spectra(folder, names, settings):
  """Returns the number of spectra of each file, and its rate in Hz."""
  counts, rates = [], []
  with progress.Progress('lengths', len(names), unit='file') as bar:
    for name in names:
      path = folder / name
      samples, rate = _header(path)
      if settings.trim:
        samples = len(read(path, settings))
      else:
        samples = math.ceil(samples * settings.rate / rate)
      counts.append(settings.count(samples))
      rates.append(rate)
      bar.advance(1)
  return counts, rates


def _header(path) -> tuple[int, int]:
  """Returns the length in samples and the rate in Hz, from the header.

  Raises:
    UserError: the file is no sound, or shorter than its header says.
  """
  try:
    info = soundfile().info(str(path))
  except (OSError, RuntimeError) as e:
    raise _unreadable(path) from e
  # A WAV file that was cut off is read as a shorter sound.
  with open(path, 'rb') as file:
    kind, size = file.read(4), int.from_bytes(file.read(4), 'little')
  missing = size + 8 - path.stat().st_size
  if kind == b'RIFF' and missing > 0 and size < _STREAMED:
    raise errors.UserError(
      f'{path} is cut off: {missing} of {size + 8} bytes are missing.'
    )
  return info.frames, info.samplerate


def _low_rates(rates, rate) -> Iterator[str]:
  low = sum(r < rate for r in rates)
  if 0 < low < len(rates):
    yield (
      f'{low} of {len(rates)} files have a lower rate than {rate} Hz, from'
      f' {min(rates)} Hz: their upper bands are silent, which tells the device.'
      f' Take --config.data.rate={min(rates)} for all.'
    )


def soundfile() -> types.ModuleType:
  """Imports soundfile when it is needed; not all studies have sounds.

  Raises:
    UserError: it is not installed.
  """
  try:
    import soundfile as module
  except ImportError as e:
    raise errors.UserError(
      "sounds are read by soundfile: pip install 'hybrid-jax[audio]'."
    ) from e
  return module
