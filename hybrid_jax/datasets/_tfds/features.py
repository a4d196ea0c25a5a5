"""The features of a TFDS data set, as labels and as inputs."""

import dataclasses
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_jax import errors
from hybrid_jax.datasets import dataset, image_files, label_encoding

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
    kind: `IMAGE`, `SOUND` or `NUMBERS` if it can be an input, else `''`.
    is_label: whether it can be a label.
  """

  key: str
  path: tuple[str, ...]
  connector: Any
  kind: str
  is_label: bool

  def value(self, example: Mapping[str, Any]) -> Any:
    """Returns the value of this feature in an example."""
    for key in self.path:
      example = example[key]
    return example


def list_features(tfds: types.ModuleType, root: Any) -> list[Feature]:
  """Returns all leaves, sorted by key (TFDS does not store their order).

  Args:
    tfds: the package `tensorflow_datasets`.
    root: `builder.info.features`.
  """
  return sorted(_leaves(tfds, root, ()), key=lambda feature: feature.key)


def _leaves(tfds, connector, path) -> Iterator[Feature]:
  if isinstance(connector, tfds.features.FeaturesDict):
    for key, inner in connector.items():
      yield from _leaves(tfds, inner, (*path, key))
    return
  is_scalar = (
    isinstance(connector, tfds.features.Tensor) and connector.shape == ()
  )
  dtype = np.dtype(connector.np_dtype).kind
  kinds = {
    tfds.features.Image: IMAGE,
    tfds.features.Audio: SOUND,
    tfds.features.Tensor: NUMBERS,
  }
  # The exact type: boxes and masks are subclasses of Tensor and Image.
  kind = kinds.get(type(connector), '')
  if kind == NUMBERS and (is_scalar or dtype not in 'iuf'):
    kind = ''
  is_label = is_scalar and dtype in 'biuOSU'
  yield Feature('/'.join(path), path, connector, kind, is_label)


def find_feature(
  what: str, name: str, candidates: Iterable[Feature]
) -> Feature:
  """Returns the feature of a key, or the only one whose key ends in `name`.

  Args:
    what: the role of the feature, for error messages.
    name: the key or its last part.
    candidates: the features for this role.

  Raises:
    UserError: there is no such feature, or there are several; the message lists
      the keys.
  """
  known = {feature.key: feature for feature in candidates}
  if name in known:
    return known[name]
  same_end = [f for f in known.values() if f.path[-1] == name]
  if len(same_end) > 1:
    raise errors.UserError(
      f'{what} {name!r} can be {" or ".join(f.key for f in same_end)}; give the'
      ' whole key.'
    )
  if same_end:
    return same_end[0]
  spellings = {
    spelling: key
    for key, feature in known.items()
    for spelling in (feature.path[-1], key)
  }
  raise errors.UserError(
    f'unknown {what} {name!r}.{errors.suggest(name, spellings)} Known:'
    f' {", ".join(known) or "none"}.'
  )


def find_input(name: str, features: Sequence[Feature]) -> Feature:
  """Returns the input feature.

  Args:
    name: its key; if empty, the only image, or else sound, or else tensor.
    features: all features.

  Raises:
    UserError: there is no such feature, or there are several; the message lists
      the keys.
  """
  inputs = [feature for feature in features if feature.kind]
  if name:
    return find_feature('input feature', name, inputs)
  for kind in (IMAGE, SOUND, NUMBERS):
    candidates = [feature for feature in inputs if feature.kind == kind]
    if len(candidates) == 1:
      return candidates[0]
    if candidates:
      raise errors.UserError(
        f'data.feature is not set, and there is more than one {kind} feature:'
        f' {", ".join(f.key for f in candidates)}.'
      )
  raise errors.UserError(
    'the data set has no image, sound or tensor as an input; its features are'
    f' {", ".join(f.key for f in features)}.'
  )


def skip_decoders(
  tfds: types.ModuleType, features: Sequence[Feature], decoded: str = ''
) -> dict[str, Any] | None:
  """Returns TFDS decoders that do not decode images and sounds.

  Args:
    tfds: the package `tensorflow_datasets`.
    features: all features.
    decoded: the key of a feature that is decoded nevertheless.

  Returns:
    The argument `decoders` of `as_data_source`; `None` if all is decoded.
  """
  decoders: dict[str, Any] = {}
  for feature in features:
    if feature.kind in (IMAGE, SOUND) and feature.key != decoded:
      *folders, last = feature.path
      inner = decoders
      for key in folders:
        inner = inner.setdefault(key, {})
      inner[last] = tfds.decode.SkipDecoding()
  return decoders or None


def encode_labels(
  feature: Feature, values: np.ndarray, fold: np.ndarray
) -> tuple[np.ndarray, list[str]]:
  """Encodes a label as class numbers.

  Named classes keep their order; those without an example are left out, and the
  others are numbered from 0. A bool has the two classes `not NAME` and `NAME`.
  Of other numbers and text, every distinct value is a class, in rising order.

  Args:
    feature: the label.
    values: `[n]`, from `label_encoding.read`.
    fold: `[n]`.

  Returns:
    The classes, `[n]` int32, and their names.

  Raises:
    UserError: a named label is negative, that is, missing, or has no name; or
      a label without names has more than `MOST_CLASSES` values, or a value
      without a training example.
  """
  if np.dtype(feature.connector.np_dtype).kind == 'b':
    leaf = feature.path[-1]
    names = [f'not {leaf}', leaf]
    return label_encoding.encode(values, feature.key, names, unused='keep')
  if getattr(feature.connector, 'num_classes', None):
    if values.min() < 0:
      name = dataset.FOLDS[int(fold[np.argmin(values)])]
      raise errors.UserError(
        f'{feature.key!r} is {values.min()}, which is no class, in the {name}'
        ' fold: choose other data.splits, in which all examples are labelled.'
      )
    return label_encoding.encode(
      values, repr(feature.key), feature.connector.names, unused='drop'
    )
  codes, names = label_encoding.encode(values, repr(feature.key))
  if len(names) > MOST_CLASSES:
    raise errors.UserError(
      f'{feature.key!r} has {len(names)} different values; a label has at most'
      f' {MOST_CLASSES}. data.min_examples leaves out the rare ones.'
    )
  _check_training(feature, codes, names, fold)
  return codes, names


def _check_training(feature, codes, names, fold):
  """Checks that every class has a training example."""
  train = np.bincount(codes[fold == dataset.TRAIN], minlength=len(names))
  if not train.all():
    first = int(np.argmin(train > 0))
    name = dataset.FOLDS[int(fold[np.argmax(codes == first)])]
    raise errors.UserError(
      f'{names[first]!r} of label {feature.key!r} is in the {name} fold, and'
      f' not in training; so are {int((train == 0).sum())} of'
      f' {len(names)} values. data.min_examples=1 leaves them out.'
    )


def is_frequent(
  values: np.ndarray, fold: np.ndarray, min_examples: int
) -> np.ndarray:
  """Returns which examples have a value that is frequent in training.

  Args:
    values: `[n]`, from `label_encoding.read`.
    fold: `[n]`.
    min_examples: the smallest number of training examples with the value.

  Returns:
    `[n]` bool.
  """
  codes = np.unique(values, return_inverse=True)[1]
  train = np.bincount(codes[fold == dataset.TRAIN], minlength=codes.max() + 1)
  return train[codes] >= min_examples


def prepare_image(
  image: np.ndarray, size: Sequence[int], grey: bool
) -> np.ndarray:
  """Resizes an image (bilinear, with antialiasing) and makes it grey.

  Args:
    image: `[h, w, c]` uint8, with 1 to 4 channels.
    size: height and width; empty to leave them.
    grey: whether to return one channel, the luma of ITU-R 601.

  Raises:
    UserError: the image is not uint8, or Pillow is not installed.
  """
  if image.dtype != np.uint8:
    raise errors.UserError(
      f'images are of type {image.dtype}; only 8 bits (uint8) can be read.'
    )
  if not grey and (not size or image.shape[:2] == tuple(size)):
    return image
  pillow = image_files.pillow()
  picture = pillow.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
  if grey:
    picture = picture.convert('L')
  if size:
    picture = picture.resize((size[1], size[0]), pillow.Resampling.BILINEAR)
  return np.asarray(picture).reshape(picture.height, picture.width, -1)


def resize_tensor(values: np.ndarray, size: Sequence[int]) -> np.ndarray:
  """Resizes each channel, bilinear with antialiasing.

  Args:
    values: `[h, w, c]` float32, of any number of channels.
    size: height and width; empty to leave them.

  Raises:
    UserError: Pillow is not installed.
  """
  if not size or values.shape[:2] == tuple(size):
    return values
  pillow = image_files.pillow()
  channels = [
    pillow.fromarray(np.ascontiguousarray(channel)).resize(
      (size[1], size[0]), pillow.Resampling.BILINEAR
    )
    for channel in np.moveaxis(values, -1, 0)
  ]
  return np.stack([np.asarray(channel) for channel in channels], axis=-1)


def check_settings(
  feature: Feature, size: Sequence[int], grey: bool, length: int
) -> None:
  """Refuses settings that the input would pass over.

  Raises:
    UserError: a size of an input that is no picture and no tensor of three
      axes, grey of what is no picture, or a length of what is no series.
  """
  axes = len(feature.connector.shape)
  what = f'{feature.key!r} has the type {feature.kind} and the shape'
  what += f' {tuple(feature.connector.shape)}'
  if size and axes != 3:
    raise errors.UserError(
      f'data.size is {tuple(size)}, and {what}; only pictures and tensors'
      ' [height, width, channels] have a size.'
    )
  if grey and feature.kind != IMAGE:
    raise errors.UserError(
      f'data.grey is True, and {what}; only pictures can be made grey.'
    )
  if length and axes > 2:
    raise errors.UserError(
      f'data.length is {length}, and {what}; only series have a length.'
    )


def to_series(values: np.ndarray, kind: str) -> np.ndarray:
  """Returns a sound or tensor as float32.

  Args:
    values: `[time]`, `[time, channels]`, or more axes. Integers of a sound have
      16 bits, and become -1 to 1.
    kind: `SOUND` or `NUMBERS`.

  Returns:
    `[time, channels]`, or the shape of `values` if it has more axes.
  """
  values = np.asarray(values)
  scale = _INT16 if kind == SOUND and values.dtype.kind == 'i' else 1.0
  values = (values / scale).astype(np.float32)
  return values[:, None] if values.ndim == 1 else values


def pad_or_cut(values: np.ndarray, length: int) -> np.ndarray:
  """Returns `[time, channels]` with `length` samples; zeros pad the end."""
  missing = max(length - len(values), 0)
  return np.pad(values[:length], ((0, missing), (0, 0)))
