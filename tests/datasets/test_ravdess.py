"""Speech in the published layout of RAVDESS, made here from tones."""

import shutil

import ml_collections
import numpy as np
import pytest

from configs import emotion as config_file
from hybrid_jax import errors, plugins
from hybrid_jax.datasets import audio, dataset, ravdess
from hybrid_jax.study import validate
from tests.datasets import loading

soundfile = pytest.importorskip('soundfile')

RATE = 8000
ACTORS = (1, 2, 3, 4)
EMOTIONS = (1, 3, 5)  # neutral, happy, angry
PITCH = {1: 500, 3: 1200, 5: 2500}  # Hz, by emotion
SHORT = {'rate': RATE, 'bands': 12, 'window': 10}


def _names():
  """The published names: neutral clips have one intensity."""
  for actor in ACTORS:
    for emotion in EMOTIONS:
      for intensity in (1,) if emotion == 1 else (1, 2):
        for statement in (1, 2):
          for repetition in (1, 2):
            yield (emotion, intensity, statement, repetition, actor)


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  folder = tmp_path_factory.mktemp('ravdess')
  time = np.arange(RATE // 4) / RATE
  for i, numbers in enumerate(_names()):
    inside = folder / f'Actor_{numbers[-1]:02d}'
    inside.mkdir(exist_ok=True)
    tone = np.sin(2 * np.pi * (PITCH[numbers[0]] + 10 * numbers[-1]) * time)
    # Silence at both ends, which is trimmed.
    loud = 0.4 + 0.001 * i
    sound = np.concatenate([np.zeros(1600), loud * tone, np.zeros(1600)])
    name = '-'.join(f'{n:02d}' for n in (3, 1, *numbers))
    soundfile.write(inside / f'{name}.wav', sound, RATE)
  return folder


def _load(path, **change):
  settings = {**plugins.values(ravdess.OPTIONS), 'path': str(path), **change}
  return loading.load(ravdess, ml_collections.ConfigDict(settings))


def test_a_file_name_tells_the_labels():
  assert ravdess.parse('03-01-06-02-01-02-12.wav') == {
    'emotion': 5,
    'intensity': 1,
    'statement': 0,
    'repetition': 1,
    'actor': 11,
  }
  assert ravdess.LABELS['emotion'][5] == 'fearful'


@pytest.mark.parametrize(
  'name',
  [
    '03-02-06-02-01-02-12.wav',  # a song
    '01-01-06-02-01-02-12.wav',  # with a film
    '03-01-09-02-01-02-12.wav',
    '03-01-06-02-01-02-25.wav',
    '03-01-06-02-01-02-00.wav',
    '03-01-06-02-01-02.wav',
    'notes.wav',
  ],
)
def test_other_files_are_no_clips(name):
  assert ravdess.parse(name) is None


def test_a_folder_becomes_spectrograms_with_their_labels(made):
  data = _load(made, **SHORT)
  assert data.x.shape == (80, 12, 10, 1)
  assert data.primary_names == ['neutral', 'happy', 'angry']
  assert data.people == 'actor'
  assert data.sensitive_names['actor'] == ['01', '02', '03', '04']
  # The loudest band is that of the emotion's tone.
  settings = audio.LogMel(RATE, 12, 25.0, 16.0, 30.0)
  centres = audio.band_centres(settings)
  loudest = data.x[..., 0].max(axis=2).argmax(axis=1)
  for code, pitch in enumerate(PITCH.values()):
    nearest = np.abs(centres - pitch).argmin()
    assert (np.abs(loudest[data.primary == code] - nearest) <= 1).all()
  # Actors with an odd number are men.
  np.testing.assert_array_equal(
    data.sensitive['gender'], data.sensitive['actor'] % 2
  )
  assert data.sensitive_names['gender'] == ['man', 'woman']


def test_silence_is_trimmed_and_short_clips_are_padded(made):
  # A tone of 0.25 s has 1 + (2000 - 200) // 128 = 15 spectra.
  trimmed = _load(made, rate=RATE, bands=12, window=20).x[..., 0]
  assert (trimmed[:, :, 0].max(axis=1) > -4).all()
  assert (trimmed[:, :, 17:] == audio.SILENCE).all()
  # Of the whole clip, with silence, it uses the middle.
  whole = _load(made, **SHORT, trim=0.0).x[..., 0]
  assert (whole.max(axis=1) > -4).all()


def test_a_series_is_the_picture_turned(made):
  picture, series = (
    _load(made, **SHORT, layout=layout) for layout in ('picture', 'series')
  )
  assert series.x.shape == (80, 1, 10, 12)
  np.testing.assert_array_equal(
    series.x[:, 0].swapaxes(1, 2), picture.x[..., 0]
  )
  assert len(series.channels) == 12


@pytest.mark.parametrize('split', ['repetition', 'statement'])
def test_what_is_held_out_is_halved_for_each_actor_and_emotion(made, split):
  other = 'statement' if split == 'repetition' else 'repetition'
  labels = ('actor', 'gender', 'intensity', other)
  data = _load(made, **SHORT, split=split, sensitive=labels)
  place = 3 if split == 'repetition' else 2
  held = np.array([numbers[place] for numbers in _names()])
  np.testing.assert_array_equal(data.fold == dataset.TRAIN, held == 1)
  validation, test = (data.fold == f for f in (1, 2))
  for label, values in data.labels().items():
    np.testing.assert_array_equal(
      np.bincount(values[validation]), np.bincount(values[test]), label
    )
  pairs = data.primary * 4 + data.sensitive['actor']
  np.testing.assert_array_equal(
    np.bincount(pairs[validation]), np.bincount(pairs[test])
  )


def test_files_that_are_left_out_are_counted(made, tmp_path, capsys):
  folder = tmp_path / 'all'
  shutil.copytree(made, folder)
  shutil.copytree(made / 'Actor_01', folder / 'more/Actor_01')
  clip = next((made / 'Actor_02').glob('*.wav'))
  shutil.copy(clip, folder / '03-02-01-01-01-01-02.wav')
  assert len(_load(folder, **SHORT).x) == 80
  text = capsys.readouterr().err.replace('\n', ' ')
  assert 'no clips of speech: 1, the first is 03-02-01' in text
  assert 'whose name occurs twice: 20, the first is more/Actor_01/03' in text


def test_the_inputs_are_the_clips(made):
  names = [p.name for p in ravdess.input_files(_config(made))]
  assert len(names) == len(set(names)) == 80
  assert ravdess.input_files(_config('x.npz'))[0].name == 'x.npz'


def _config(path):
  return ml_collections.ConfigDict({'path': str(path)})


def _arrays(**change):
  numbers = np.array(list(_names())).T
  names = ('emotion', 'intensity', 'statement', 'repetition', 'actor')
  arrays = dict(zip(names, numbers, strict=True))
  arrays['emotion'] = arrays['emotion'] - 1
  x = np.random.default_rng(0).normal(size=(80, 6, 9)).astype(np.float16)
  return {'X': x, **arrays} | change


def test_an_npz_of_spectrograms(tmp_path):
  np.savez(tmp_path / 'x.npz', **_arrays())
  data = _load(tmp_path / 'x.npz')
  assert data.x.shape == (80, 6, 9, 1)
  assert data.x.dtype == np.float32
  assert data.primary_names == ['neutral', 'happy', 'angry']
  assert np.bincount(data.fold).tolist() == [40, 20, 20]


def test_a_clip_that_equals_an_earlier_one_is_left_out(tmp_path, capsys):
  x = _arrays()['X']
  x[7] = x[3]
  np.savez(tmp_path / 'x.npz', **_arrays(X=x))
  data = _load(tmp_path / 'x.npz')
  np.testing.assert_array_equal(
    data.x[..., 0], np.delete(x, 7, axis=0).astype(np.float32)
  )
  assert len(data.primary) == len(data.fold) == 79
  assert 'that equal an earlier one: 1' in capsys.readouterr().err


@pytest.mark.parametrize(
  ('change', 'part'),
  [
    ({'actor': np.zeros(80, int)}, 'row 0: actor is 0; it must be 1 to 24'),
    ({'emotion': np.full(80, 8)}, 'row 0: emotion is 8; it must be 0 to 7'),
    ({'actor': np.ones(3, int)}, r"'actor' is int64 of shape \(3,\)"),
    ({'X': np.zeros((80, 6))}, r"'X' is float64 of shape \(80, 6\)"),
    ({'X': np.full((80, 6, 9), np.nan)}, 'examples hold NaN'),
  ],
)
def test_faults_of_an_npz_are_named(tmp_path, change, part):
  np.savez(tmp_path / 'x.npz', **_arrays(**change))
  with pytest.raises(errors.UserError, match=part):
    _load(tmp_path / 'x.npz')


def test_other_mistakes(made, tmp_path):
  for path in ('', tmp_path / 'none'):
    with pytest.raises(errors.UserError, match=r'not exist.*zenodo'):
      _load(path)
  with pytest.raises(errors.UserError, match='has no clip of speech'):
    _load(tmp_path)
  np.savez(tmp_path / 'x.npz', X=np.zeros(3))
  with pytest.raises(errors.UserError, match="lacks the array 'emotion'"):
    _load(tmp_path / 'x.npz')
  for change, part in (
    ({'split': 'statement'}, "data.split is 'statement'.*split=repetition"),
    ({'primary': 'actor'}, 'not the primary label, actor'),
    ({'bands': 400}, 'data.bands is 400'),
  ):
    with pytest.raises(errors.UserError, match=part):
      _load(made, **{**SHORT, **change})


@pytest.mark.parametrize(
  ('arg', 'path', 'network', 'steps'),
  [
    ('', '', 'vgg_s', 800),
    ('some/where', 'some/where', 'vgg_s', 800),
    ('some/where,cnn1d', 'some/where', 'cnn1d', 800),
    ('where,cnn1d,small', 'where', 'cnn1d', 40),
    ('small', '', 'vgg_s', 40),
  ],
)
def test_the_config_builds(arg, path, network, steps):
  c = config_file.get_config(arg)
  assert (c.data.path, c.model.name) == (path, network)
  assert c.training.steps == steps
  assert validate.prepare(c).defend.labels == ('actor', 'gender')
  with pytest.raises(ValueError, match="'smal'"):
    config_file.get_config('where,smal')
