"""The features of a TFDS data set: found by key, made labels and inputs."""

import dataclasses
import types
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import dataset, image_files

IMAGE, SOUND, NUMBERS = 'image', 'sound', 'numbers'
MOST_CLASSES = 1000  # of a label without names
_INT16 = 32768.0


@dataclasses.dataclass(frozen=True)
class Feature:
  """One leaf of `builder.info.features`.

  Attributes:
    key: its path, as `attributes/Male`.
    path: the keys that lead to it.
    connector: the `tfds.features.FeatureConnector`.
    kind: `IMAGE`, `SOUND` or `NUMBERS` where it can be an input, else `''`.
    label: whether it can be a label.
  """

  key: str
  path: tuple[str, ...]
  connector: Any
  kind: str
  label: bool

  def of(self, example: Mapping[str, Any]) -> Any:
    """This feature of an example."""
    for key in self.path:
      example = example[key]
    return example


def leaves(library: types.ModuleType, features: Any) -> list[Feature]:
  """All leaves of a `FeaturesDict`, by key: its own order is not kept on disk.

  Args:
    library: the package `tensorflow_datasets`.
    features: `builder.info.features`.
  """
  known = library.features
  kinds = {known.Image: IMAGE, known.Audio: SOUND, known.Tensor: NUMBERS}

  def walk(feature, path):
    if isinstance(feature, known.FeaturesDict):
      for key, inner in feature.items():
        yield from walk(inner, (*path, key))
      return
    scalar = isinstance(feature, known.Tensor) and feature.shape == ()
    value = np.dtype(feature.np_dtype).kind if scalar else ''
    # Not of subclasses: a box or a mask is a Tensor or an Image, too.
    kind = kinds.get(type(feature), '')
    if kind == NUMBERS and (
      scalar or np.dtype(feature.np_dtype).kind not in 'iuf'
    ):
      kind = ''
    label = bool(value) and value in 'biuOSU'
    yield Feature('/'.join(path), path, feature, kind, label)

  return sorted(walk(features, ()), key=lambda feature: feature.key)


def find(what: str, name: str, candidates: Iterable[Feature]) -> Feature:
  """The feature of that key, or the only one whose last part is `name`.

  Raises:
    UserError: there is none, or there are several; the keys are listed.
  """
  known = {feature.key: feature for feature in candidates}
  if name in known:
    return known[name]
  same = [f for f in known.values() if f.path[-1] == name]
  if len(same) > 1:
    raise errors.UserError(
      f'{what} {name!r} can be {" or ".join(f.key for f in same)}; give the'
      ' whole key.'
    )
  if not same:
    spellings = {
      spelling: key
      for key, feature in known.items()
      for spelling in (feature.path[-1], key)
    }
    raise errors.UserError(
      f'unknown {what} {name!r}.{errors.suggest(name, spellings)} Known:'
      f' {", ".join(known) or "none"}.'
    )
  return same[0]


def find_input(name: str, known: Sequence[Feature]) -> Feature:
  """The input of that key; if it is empty, the one image, sound or tensor.

  Raises:
    UserError: there is none, or there are several; the keys are listed.
  """
  inputs = [feature for feature in known if feature.kind]
  if name:
    return find('input feature', name, inputs)
  for kind in (IMAGE, SOUND, NUMBERS):
    found = [feature for feature in inputs if feature.kind == kind]
    if len(found) == 1:
      return found[0]
    if found:
      raise errors.UserError(
        f'data.feature is not set, and there is more than one {kind} feature:'
        f' {", ".join(f.key for f in found)}.'
      )
  raise errors.UserError(
    'the data set has no image, sound or tensor to learn from; its features are'
    f' {", ".join(f.key for f in known)}.'
  )


def skip(
  library: types.ModuleType, known: Sequence[Feature], wanted: str = ''
) -> dict[str, Any] | None:
  """Decoders that leave images and sounds as they are stored, but `wanted`.

  `None` where there are no others.
  """
  out: dict[str, Any] = {}
  for feature in known:
    if feature.kind in (IMAGE, SOUND) and feature.key != wanted:
      *folders, last = feature.path
      inner = out
      for key in folders:
        inner = inner.setdefault(key, {})
      inner[last] = library.decode.SkipDecoding()
  return out or None


def plain(value: Any) -> Any:
  """A label's value as a bool, an int or text."""
  if isinstance(value, bytes):
    return value.decode('utf-8', 'replace')
  return value if isinstance(value, str) else np.asarray(value).item()


def encode(
  feature: Feature, values: Sequence[Any], fold: np.ndarray
) -> tuple[np.ndarray, list[str]]:
  """A label's classes.

  Named classes keep their order, less those of which there is no example. Of
  numbers and text, the classes are the values of the training fold, sorted.

  Args:
    feature: what the values are of.
    values: of each example, in the way of `plain`.
    fold: `[n]`, of each example.

  Returns:
    `[n]` int32, and what the classes are called.

  Raises:
    UserError: an example has no label, there are too many values, or one of
      them is not in the training fold.
  """
  if np.dtype(feature.connector.np_dtype).kind == 'b':
    leaf = feature.path[-1]
    return np.array(values, np.int32), [f'not {leaf}', leaf]
  found, codes = np.unique(np.array(values), return_inverse=True)
  if getattr(feature.connector, 'num_classes', None):
    if found[0] < 0:
      where = dataset.FOLDS[int(fold[int(np.argmin(codes))])]
      raise errors.UserError(
        f'{feature.key!r} is {found[0]}, no class, of examples of the {where}'
        ' fold: choose other data.splits, where all are labelled.'
      )
    names = feature.connector.names
    return codes.astype(np.int32), [names[i] for i in found]
  if len(found) > MOST_CLASSES:
    raise errors.UserError(
      f'{feature.key!r} has {len(found)} different values; a label has at most'
      f' {MOST_CLASSES}. data.min_examples leaves out the rare ones.'
    )
  trained = np.bincount(codes[fold == dataset.TRAIN], minlength=len(found)) > 0
  if not trained.all():
    first = int(np.argmin(trained))
    where = dataset.FOLDS[int(fold[int(np.argmax(codes == first))])]
    raise errors.UserError(
      f'{str(found[first])!r} of label {feature.key!r} is in the {where} fold,'
      f' and not in training, as are {int((~trained).sum())} of'
      f' {len(found)} values. data.min_examples=1 leaves them out.'
    )
  return codes.astype(np.int32), [str(value) for value in found]


def often(values: Sequence[Any], fold: np.ndarray, least: int) -> np.ndarray:
  """`[n]` bool: whether an example's value is `least` times in training."""
  _, codes = np.unique(np.array(values), return_inverse=True)
  return (
    np.bincount(codes[fold == dataset.TRAIN], minlength=codes.max() + 1)[codes]
    >= least
  )


def picture(image: np.ndarray, size: Sequence[int], grey: bool) -> np.ndarray:
  """An image `[h, w, c]` uint8, resized to `size` (height, width), if given.

  Args:
    image: with 1 to 4 channels.
    size: empty to leave it as it is. Bilinear, with antialiasing.
    grey: whether one channel is made, of ITU-R 601 luma.

  Raises:
    UserError: it is not uint8, or Pillow is not installed.
  """
  if image.dtype != np.uint8:
    raise errors.UserError(
      f'images are of type {image.dtype}; those of 8 bits (uint8) can be read.'
    )
  if not grey and (not size or image.shape[:2] == tuple(size)):
    return image
  library = image_files.library()
  drawn = library.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
  if grey:
    drawn = drawn.convert('L')
  if size:
    drawn = drawn.resize((size[1], size[0]), library.Resampling.BILINEAR)
  return np.asarray(drawn).reshape(drawn.height, drawn.width, -1)


def series(values: np.ndarray, kind: str) -> np.ndarray:
  """A sound or tensor as float32 `[time, channels]`; higher ranks stay.

  Integers of a sound are taken for 16 bits, and become -1 to 1.
  """
  values = np.asarray(values)
  scale = _INT16 if kind == SOUND and values.dtype.kind == 'i' else 1.0
  values = (values / scale).astype(np.float32)
  return values[:, None] if values.ndim == 1 else values


def fit(values: np.ndarray, length: int) -> np.ndarray:
  """`[time, channels]` cut, or padded with zeros at its end, to `length`."""
  missing = max(length - len(values), 0)
  return np.pad(values[:length], ((0, missing), (0, 0)))
