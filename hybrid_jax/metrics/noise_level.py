"""Size of the noise in relation to the released vectors."""

import numpy as np


def measure(
  clean: np.ndarray, covariance: np.ndarray | None
) -> dict[str, float | int]:
  """Computes root mean squares of the released vectors and of the noise.

  Args:
    clean: `[n, d]`, the released vectors of the training fold without noise.
    covariance: `[d, d]`, of the noise; `None` without noise.

  Returns:
    `dim`, d; `rms`, of the vectors about their mean; `sigma`, of the noise,
    both over all examples and features; `relative_noise`, `sigma / rms`.
  """
  x = clean.astype(np.float64)
  rms = float(np.sqrt(np.mean(np.square(x - x.mean(axis=0)))))
  sigma = 0.0
  if covariance is not None:
    sigma = float(np.sqrt(np.trace(covariance) / len(covariance)))
  return {
    'dim': clean.shape[1],
    'rms': rms,
    'sigma': sigma,
    'relative_noise': sigma / rms if rms else 0.0,
  }
