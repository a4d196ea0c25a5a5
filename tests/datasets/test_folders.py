"""Folders of pictures and of sounds, made here."""

import ml_collections
import numpy as np
import PIL.Image
import pytest

from configs import emotion_faces
from hybrid_jax import errors, plugins
from hybrid_jax.datasets import audio, images
from hybrid_jax.study import folder_config, validate

soundfile = pytest.importorskip('soundfile')

COLOURS = {'red': (250, 0, 0), 'blue': (0, 0, 250)}


def _write_pictures(folder, count=24, group=None):
  """Pictures of one colour; the person is in the brightness of a corner."""
  suffixes = ['.png', '.JPG', '.jpeg', '.BMP']
  rows = ['file,primary,sensitive_who' + (',group' if group else '')]
  for i in range(count):
    colour = list(COLOURS)[i % 2]
    pixels = np.full((20, 30, 3), COLOURS[colour], np.uint8)
    pixels[i % 20, i % 30] = (0, 255, 0)
    name = f'{"sub/" if i % 3 else ""}{i:02d}{suffixes[i % 4]}'
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(pixels).save(folder / name)
    row = f'{name},{colour},{"ab"[i // 2 % 2]}'
    rows.append(row + (f',{group(i)}' if group else ''))
  (folder / 'labels.csv').write_text('\n'.join(rows) + '\n')


def _write_sounds(folder, seconds=1.0, rate=8000, count=12):
  """Tones: the pitch is the class, the person is the loudness."""
  rows = ['file,primary,sensitive_who']
  time = np.arange(int(seconds * rate)) / rate
  for i in range(count):
    pitch = (500, 1500)[i % 2]
    loud = (0.1, 0.5)[i // 2 % 2]
    name = f'{i}.{("wav", "flac", "WAV")[i % 3]}'
    tone = loud * np.sin(2 * np.pi * (pitch + i) * time)
    soundfile.write(folder / name, tone, rate)
    rows.append(f'{name},{("low", "high")[i % 2]},{"ab"[i // 2 % 2]}')
  (folder / 'labels.csv').write_text('\n'.join(rows) + '\n')


def _relabel(folder, row, label, encoding='utf-8'):
  """Changes the last label of a row of labels.csv."""
  rows = (folder / 'labels.csv').read_text().splitlines()
  rows[row + 1] = f'{rows[row + 1].rpartition(",")[0]},{label}'
  (folder / 'labels.csv').write_bytes('\n'.join(rows).encode(encoding))


def _load(module, folder, **change):
  settings = {**plugins.values(module.OPTIONS), 'folder': str(folder), **change}
  return module.load(ml_collections.ConfigDict(settings))


def test_pictures_of_any_suffix_and_folder(tmp_path):
  _write_pictures(tmp_path)
  data = _load(images, tmp_path, size=(10, 15))
  assert data.x.shape == (24, 10, 15, 3)
  assert data.primary_names == ['blue', 'red']
  assert data.sensitive_names == {'who': ['a', 'b']}
  first = data.x[0]
  assert first.dtype == np.float32
  np.testing.assert_allclose(np.median(first, (0, 1)), [250 / 255, 0, 0])
  # Each class has its share in every fold.
  for fold, share in enumerate((0.6, 0.2, 0.2)):
    for y in (0, 1):
      count = ((data.fold == fold) & (data.primary == y)).sum()
      assert abs(count - 12 * share) <= 1
  grey = _load(images, tmp_path, size=(10, 15), grey=True)
  assert grey.x.shape == (24, 10, 15, 1)
  assert grey.channels == ['grey (0 to 1)']


def test_pictures_of_one_group_stay_in_one_fold(tmp_path):
  _write_pictures(tmp_path, group=lambda i: f'session {i % 8}')
  data = _load(images, tmp_path)
  assert len(np.unique(data.recording)) == 8
  for group in range(8):
    assert len(np.unique(data.fold[data.recording == group])) == 1


def test_groups_that_look_alike_are_told(tmp_path):
  _write_pictures(tmp_path, group=lambda i: f'{"pP"[i % 2]}{i % 6 // 2}')
  (remark, *_) = _load(images, tmp_path).remarks
  assert remark.startswith(
    "'group' has the classes 'P0' and 'p0', which differ"
  )


def test_equal_pictures_are_in_one_fold(tmp_path):
  _write_pictures(tmp_path)
  first = (tmp_path / '00.png').read_bytes()
  table = (tmp_path / 'labels.csv').read_text()
  for i in range(8):
    (tmp_path / f'copy{i}.png').write_bytes(first)
    table += f'copy{i}.png,red,a\n'
  (tmp_path / 'labels.csv').write_text(table)
  data = _load(images, tmp_path)
  assert len(data.x) == 32
  assert len(np.unique(data.fold[[0, *range(24, 32)]])) == 1


def test_a_picture_without_a_row_is_counted(tmp_path, capsys):
  _write_pictures(tmp_path)
  PIL.Image.new('RGB', (5, 5)).save(tmp_path / 'more.tif')
  (tmp_path / 'notes.txt').write_text('no picture')
  assert len(_load(images, tmp_path).x) == 24
  assert 'no row: 1: more.tif' in capsys.readouterr().err.replace('\n', ' ')


@pytest.mark.parametrize(
  ('damage', 'message'),
  [
    (lambda f: (f / '00.png').write_bytes(b'\x89PNG'), 'cannot be read as an'),
    (lambda f: (f / '00.png').unlink(), "names '00.png', which is not a"),
    (lambda f: (f / 'labels.csv').unlink(), 'labels.csv does not exist'),
    (lambda f: (f / '00.png').write_bytes(b''), 'cannot be .*: it has 0 bytes'),
    (
      lambda f: [file.write_bytes(b'x') for file in f.glob('sub/*')],
      '16 of 24 files have the bytes of sub/01.JPG;',
    ),
    (lambda f: _relabel(f, 1, 'nan'), "row 3: 'sensitive_who' is 'nan'"),
    (
      lambda f: _relabel(f, 1, 'Zoë', 'latin-1'),
      r'row 3 is not UTF-8: b.sub/01.JPG,blue,Zo.xeb',
    ),
  ],
)
def test_faults_of_pictures_are_named(tmp_path, damage, message):
  _write_pictures(tmp_path)
  damage(tmp_path)
  with pytest.raises(errors.UserError, match=message):
    _ = _load(images, tmp_path).x[0]


def test_columns_that_are_not_used_are_told(tmp_path):
  _write_pictures(tmp_path, group=lambda i: i // 4)
  table = (tmp_path / 'labels.csv').read_text()
  (tmp_path / 'labels.csv').write_text(table.replace(',group', ',Groups'))
  (remark,) = _load(images, tmp_path).remarks
  assert remark.startswith(
    "columns of labels.csv that are not used: 'Groups'. Did you mean 'group'?"
  )


def test_sounds_become_log_mel_windows(tmp_path):
  _write_sounds(tmp_path)
  data = _load(audio, tmp_path, rate=8000, bands=20, window=16, hop=8)
  # A second has 1 + (8000 - 200) // 160 = 49 spectra: windows from 0, 8 ... 32.
  assert data.x.shape == (12 * 5, 1, 16, 20)
  assert len(data.channels) == 20
  settings = audio.LogMel(8000, 20, 25.0, 20.0, 0.0)
  centres = audio.band_centres(settings)
  for i, pitch in ((0, 500), (5, 1500)):  # The first windows of two files.
    band = data.x[5 * (i // 5)].mean((0, 1)).argmax()
    assert abs(band - np.abs(centres - pitch).argmin()) <= 1
  # All windows of a file are in one fold, and one recording.
  for file in range(12):
    rows = slice(5 * file, 5 * file + 5)
    assert len(np.unique(data.fold[rows])) == 1
    assert (data.recording[rows] == file).all()


def test_a_tone_by_hand():
  """The power of a sine of amplitude a is a^2 / 4 in its bin, Hann window."""
  settings = audio.LogMel(8000, 20, 25.0, 25.0, 0.0)
  filters = audio.mel_filters(settings)
  frequency = np.fft.rfftfreq(200, 1 / 8000)
  k = 25  # 1,000 Hz, a bin of the spectrum
  time = np.arange(2000) / 8000
  out = audio.log_mel(0.5 * np.sin(2 * np.pi * frequency[k] * time), settings)
  assert out.shape == (10, 20)
  # The Hann window leaks a quarter of the power to either side.
  bins = np.zeros(101)
  bins[k], bins[k - 1], bins[k + 1] = 1, 0.25, 0.25
  expected = np.log10(np.maximum(filters @ (bins * 0.5**2 / 4), 1e-10))
  np.testing.assert_allclose(out[3], expected, atol=1e-3)


def test_other_rates_are_resampled_and_channels_averaged(tmp_path):
  time = np.arange(16000) / 16000
  tone = np.sin(2 * np.pi * 700 * time)
  soundfile.write(tmp_path / 'a.wav', np.stack([tone, 0 * tone], 1), 16000)
  settings = audio.LogMel(8000, 20, 25.0, 20.0, 0.0)
  x = audio.read(tmp_path / 'a.wav', settings)
  assert len(x) == 8000
  want = 0.5 * np.sin(2 * np.pi * 700 * np.arange(8000) / 8000)
  np.testing.assert_allclose(x[200:-200], want[200:-200], atol=0.01)


def test_silence_is_trimmed():
  x = np.zeros(8000)
  x[3000:5000] = 0.5
  assert len(audio.trim(x, 8000, 40.0)) == pytest.approx(2000, abs=160)
  silent = np.zeros(100)
  assert audio.trim(silent, 8000, 40.0) is silent


def test_short_sounds_are_padded_and_counted(tmp_path, capsys):
  _write_sounds(tmp_path, seconds=0.2)
  data = _load(audio, tmp_path, rate=8000, bands=20, window=16)
  assert len(data.x) == 12
  # 1 + (1600 - 200) // 160 = 9 spectra, then silence.
  assert (data.x[0][0, 9:] == -10).all()
  assert (data.x[0][0, :9].max(axis=1) > -4).all()
  text = capsys.readouterr().err.replace('\n', ' ')
  assert 'padded by silence: 12 of 12, the first is 0.wav' in text


def test_faults_of_sounds_are_named(tmp_path):
  _write_sounds(tmp_path)
  with pytest.raises(errors.UserError, match=r'data\.bands is 200'):
    _load(audio, tmp_path, rate=8000, bands=200)
  (tmp_path / '0.wav').write_bytes(b'RIFF')
  with pytest.raises(errors.UserError, match='cannot be read as a sound'):
    _load(audio, tmp_path, rate=8000)


def test_a_sound_that_was_cut_off_is_refused(tmp_path):
  """It is read as a shorter one, without an error."""
  _write_sounds(tmp_path)
  whole = (tmp_path / '3.wav').read_bytes()
  (tmp_path / '3.wav').write_bytes(whole[: len(whole) // 2])
  assert len(soundfile.read(tmp_path / '3.wav')[0]) < 8000
  for trim in (0.0, 40.0):
    with pytest.raises(errors.UserError, match=r'3\.wav is cut off: 80\d\d of'):
      _load(audio, tmp_path, rate=8000, trim=trim)
  # A program that streams does not know the size.
  streamed = whole[:4] + b'\xff' * 4 + whole[8:]
  (tmp_path / '3.wav').write_bytes(streamed)
  assert len(_load(audio, tmp_path, rate=8000, window=16).x) == 12


def test_files_of_a_lower_rate_are_told(tmp_path):
  _write_sounds(tmp_path)
  assert not _load(audio, tmp_path, rate=16000).remarks
  soundfile.write(tmp_path / '1.flac', np.sin(np.arange(4000)), 4000)
  (remark,) = _load(audio, tmp_path, rate=8000).remarks
  assert remark.startswith('1 of 12 files have a lower rate than 8000 Hz, from')


def test_the_argument_of_a_config(tmp_path):
  folder = tmp_path / 'a,b'
  folder.mkdir()
  data, variant = folder_config.parse(
    'images', f'{folder},size=20x30,grey=1,small', ('size', 'grey')
  )
  assert (data['folder'], data['size']) == (str(folder), (20, 30))
  assert data['grey'] is True
  assert variant == 'small'
  for arg, words in {
    '': 'takes a folder',
    f'{folder},tiny': 'takes full, small',
    f'{folder},width=3': 'takes size=, grey= or full',
    f'{folder},size=x': 'a number, or two as 48x64',
  }.items():
    with pytest.raises(ValueError, match=words):
      folder_config.parse('images', arg, ('size', 'grey'))


def test_the_config_of_the_facial_task(tmp_path):
  _write_pictures(tmp_path)
  c = validate.prepare(emotion_faces.get_config(f'{tmp_path}'))
  assert (c.model.name, c.model.split_points) == ('vgg_s', ('pool5',))
  assert c.data.size == (224, 224)
  # The paper's crops of 224 of 256 pixels, and its Siamese loss.
  assert c.augment.shift == 16
  assert (c.siamese.weight, c.siamese.margin) == (0.01, 10.0)
  assert c.siamese.head_factor * c.siamese.learning_rate == pytest.approx(1e-3)
  # No batch is larger than the training fold.
  assert c.training.batch_size == 14
  for variant in ('small', 'tune', 'full'):
    arg = f'{tmp_path},size=48,grey=1,{variant}'
    small = validate.prepare(emotion_faces.get_config(arg))
    assert small.data.grey
    assert small.augment.shift == 3
  with pytest.raises(ValueError, match='emotion_faces takes size=, grey= or'):
    emotion_faces.get_config(f'{tmp_path},width=3')
