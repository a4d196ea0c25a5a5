"""Writes a bundle: both halves as TFLite files, a manifest and `device.py`."""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from hybrid_jax import errors, files
from hybrid_jax.deploy.export import (
  convert_halves,
  manifest,
  parity,
  split_functions,
  variants,
)
from hybrid_jax.deploy.formats import device


@dataclasses.dataclass(frozen=True)
class Examples:
  """Examples in sensor units that the export needs.

  Attributes:
    train: training examples `[n, ...]`, from which int8 takes its ranges.
    test: test examples `[m, ...]`, on which the files are compared with JAX.
  """

  train: np.ndarray
  test: np.ndarray


def write(
  folder: pathlib.Path,
  split: split_functions.SplitFunctions,
  facts: manifest.Facts,
  examples: Examples,
  seed: int,
  variant: str = 'float32',
  int8_input: bool = False,
  min_agreement: float = variants.MIN_AGREEMENT,
) -> dict[str, Any]:
  """Converts both halves, compares them with JAX, and writes the bundle.

  Args:
    folder: where to write.
    split: the split network.
    facts: what the manifest says of the data and the study.
    examples: for the ranges of int8 and for the comparison.
    seed: of the noise in both.
    variant: one of `variants.VARIANTS`. The files of `'float32'` must equal the
      network. For the others the manifest says under `parity` how much they
      differ.
    int8_input: the edge takes 8-bit windows; the manifest has their scale.
    min_agreement: the share of test examples for which the files must give the
      label of the network.

  Returns:
    The manifest.

  Raises:
    UserError: the variant is unknown, the float32 files do not equal the
      network, or the files agree with it less often than `min_agreement`.
  """
  variants.check(variant, int8_input)
  calibration = convert_halves.calibrate(split, examples.train, seed)
  network = convert_halves.convert_network(
    split, variant, calibration, int8_input
  )
  edge_file = convert_halves.add_noise_part(split, network)
  cloud_file = convert_halves.convert_cloud(split, variant, calibration)
  agreement = parity.check(
    split,
    edge_file,
    convert_halves.add_noise_part(split, network, rounded=False),
    cloud_file,
    examples.test,
    seed,
    exact=variant == 'float32',
  )
  if agreement['agreement'] < min_agreement:
    raise errors.UserError(
      f'the files of the variant {variant} give the label of the network for'
      f' {agreement["agreement"]:.1%} of {agreement["windows"]} test windows;'
      f' {min_agreement:.1%} is needed. Export another variant, or look for'
      ' outliers in the training data with check_data.'
    )
  content = manifest.make(
    split, edge_file, cloud_file, facts, calibration.released
  ) | {'variant': variant, 'parity': agreement}
  files.write_files(
    folder,
    {
      'edge.tflite': edge_file,
      'cloud.tflite': cloud_file,
      'device.py': pathlib.Path(device.__file__).read_bytes(),
      'manifest.json': files.encode_json(content),
    },
  )
  return content
