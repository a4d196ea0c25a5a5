"""From information to accuracy: how well a label can be guessed at all."""

import numpy as np

_STEPS = 50  # bisections


def entropy(prior: np.ndarray) -> np.ndarray:
  """`-sum p log2 p` over the last axis of `prior [..., k]`, in bits."""
  with np.errstate(divide='ignore', invalid='ignore'):
    return -np.where(prior > 0, prior * np.log2(prior), 0.0).sum(axis=-1)


def fano(
  bits: np.ndarray, entropy: np.ndarray, count: np.ndarray
) -> np.ndarray:
  """Fano's inequality: the greatest accuracy at so much information.

  The largest a with `h(1 - a) + (1 - a) log2(K - 1) >= H - I`.

  Args:
    bits: `[...]`, the information I about a label, in bits.
    entropy: `[...]`, the label's entropy H, in bits.
    count: `[...]`, its number of values K.
  """
  bits, entropy, count = np.broadcast_arrays(bits, entropy, count)
  least = entropy - bits
  spread = np.log2(np.maximum(count - 1, 1))

  def allowed(a):
    return _binary(1 - a) + (1 - a) * spread >= least - 1e-12

  return _largest(allowed, 1 / np.maximum(count, 1))


def relative_entropy_bound(bits: np.ndarray, prior: np.ndarray) -> np.ndarray:
  """The largest accuracy a with `d(a || prior) <= bits`; both `[...]`.

  Args:
    bits: the information about a label.
    prior: the share of its most common value.
  """
  prior = np.clip(prior, 1e-12, 1.0)

  def allowed(a):
    with np.errstate(divide='ignore', invalid='ignore'):
      rest = np.where(a < 1, (1 - a) * np.log2((1 - a) / (1 - prior)), 0.0)
    return a * np.log2(a / prior) + rest <= bits

  return np.where(prior >= 1, 1.0, _largest(allowed, prior))


def _binary(x):
  with np.errstate(divide='ignore', invalid='ignore'):
    return -np.where((x > 0) & (x < 1), x * np.log2(x), 0.0) - np.where(
      (x > 0) & (x < 1), (1 - x) * np.log2(1 - x), 0.0
    )


def _largest(allowed, low):
  """The upper end of an interval from `low` on in which `allowed` holds."""
  low = np.array(low, dtype=float)
  high = np.ones_like(low)
  whole = allowed(high)
  for _ in range(_STEPS):
    middle = (low + high) / 2
    good = allowed(middle)
    low, high = np.where(good, middle, low), np.where(good, high, middle)
  return np.where(whole, 1.0, high)
