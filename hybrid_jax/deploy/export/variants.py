"""The number formats in which a TFLite file can store and compute."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_jax import errors

# Inputs and outputs are float32 in all of them, unless `int8_input` is set.
VARIANTS = {
  'float32': 'as trained',
  'float16': '16-bit weights, arithmetic in float32',
  'dynamic': '8-bit weights; activations are scaled to 8 bits in each call',
  'int8': '8-bit weights and activations, scaled by training examples',
}
# The share of windows for which a file must give the label of the network.
MIN_AGREEMENT = 0.95


def configure(
  converter: Any,
  variant: str,
  examples: Sequence[Sequence[np.ndarray]] | None = None,
  int8_input: bool = False,
) -> None:
  """Sets up a `tf.lite.TFLiteConverter` for a variant.

  Args:
    converter: is changed in place.
    variant: one of `VARIANTS`.
    examples: needed for `'int8'`: typical arguments of the function, each a
      sequence of arrays. They determine the range of every activation.
    int8_input: the inputs are int8 instead of float32.

  Raises:
    UserError: see `check`; or `'int8'` has no examples.
  """
  import tensorflow as tf  # Imported here: it is slow and optional.

  check(variant, int8_input)
  if variant == 'float32':
    return
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  if variant == 'float16':
    converter.target_spec.supported_types = [tf.float16]
  if variant == 'int8':
    if not examples:
      raise errors.UserError("the variant 'int8' needs examples to scale by.")
    converter.representative_dataset = lambda: (
      [np.asarray(a, np.float32) for a in arguments] for arguments in examples
    )
    # The second set is for operations without an 8-bit kernel.
    converter.target_spec.supported_ops = [
      tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
      tf.lite.OpsSet.TFLITE_BUILTINS,
    ]
    if int8_input:
      converter.inference_input_type = tf.int8


def check(variant: str, int8_input: bool = False) -> None:
  """Checks the name of a variant.

  Raises:
    UserError: the variant is unknown, or 8-bit inputs are requested of another
      one than `'int8'`.
  """
  errors.check_known('variant', variant, VARIANTS)
  if int8_input and variant != 'int8':
    raise errors.UserError(
      f'only the variant int8 can take 8-bit inputs, not {variant}.'
    )
