"""In what numbers a half computes: the variants of a TFLite file."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hybrid_jax import errors

# Each with what it does; inputs and outputs are float32 in all of them.
VARIANTS = {
  'float32': 'as trained',
  'float16': 'weights of 16 bits, arithmetic in float32',
  'dynamic': 'weights of 8 bits, activations scaled to 8 bits as they come',
  'int8': 'weights and activations of 8 bits, scaled by training examples',
}


def configure(
  converter: Any,
  variant: str,
  examples: Sequence[Sequence[np.ndarray]] | None = None,
  int8_input: bool = False,
) -> None:
  """Sets a `tf.lite.TFLiteConverter` up for a variant.

  Args:
    converter: changed in place.
    variant: one of `VARIANTS`.
    examples: for `'int8'`, arguments of the function as they occur, each the
      arrays in order; the range of every activation is taken from them.
    int8_input: inputs are taken in 8 bits, in place of float32.

  Raises:
    UserError: the variant is not known, is `'int8'` without examples, or is
      another whose input is to be in 8 bits.
  """
  import tensorflow as tf  # Only here: it is slow, and not everywhere.

  errors.check_known('variant', variant, VARIANTS)
  refuse_int8_input(variant, int8_input)
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
    # The second, for what has no kernel in 8 bits and so stays in float32.
    converter.target_spec.supported_ops = [
      tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
      tf.lite.OpsSet.TFLITE_BUILTINS,
    ]
    if int8_input:
      converter.inference_input_type = tf.int8


def refuse_int8_input(variant: str, int8_input: bool) -> None:
  """Raises `UserError` where inputs of 8 bits are asked of another variant."""
  if int8_input and variant != 'int8':
    raise errors.UserError(
      f'only the variant int8 takes inputs of 8 bits, not {variant}.'
    )
