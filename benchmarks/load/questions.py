"""Inference requests of which the answers are known, to the bit."""

import dataclasses
import json
import os
import pathlib

import numpy as np

from hybrid_jax import errors, files
from hybrid_jax.deploy.formats import protocol

_STEPS = 64  # The furthest that a vector is from zero, in steps of its grid.
_NO_GRID = 1 / 16


@dataclasses.dataclass(frozen=True)
class Question:
  """One request, and what its answer holds.

  Attributes:
    body: JSON, and the vector as bytes after it.
    headers: those of the binary tensor extension.
    logits: little-endian float32, as the cloud half's file gives them.
    id: stands in the request, and in its answer.
  """

  body: bytes
  headers: dict[str, str]
  logits: bytes
  id: str

  def is_answered_by(self, body: bytes, json_length: str | None) -> bool:
    """Whether a body with status 200 is the answer, in the exact bits.

    Args:
      body: JSON, and the logits as bytes after it.
      json_length: the header that says where the JSON ends.
    """
    if not (json_length and json_length.isascii() and json_length.isdigit()):
      return False
    length = int(json_length)
    try:
      message = json.loads(body[:length])
    except ValueError:
      return False
    mine = isinstance(message, dict) and message.get('id') == self.id
    return mine and body[length:] == self.logits


@dataclasses.dataclass(frozen=True)
class Tensors:
  """What the cloud half takes and gives, and its file's SHA-256."""

  given: protocol.Tensor
  wanted: protocol.Tensor
  sha256: str = ''


def make(
  bundle: str | os.PathLike, count: int, seed: int = 0
) -> tuple[Tensors, list[Question]]:
  """Vectors on the bundle's grid, with the logits of its file.

  The file is run here by LiteRT's own signature, one vector at a time: none of
  the server's code is in it.

  Args:
    bundle: the folder, with `manifest.json` and the cloud half.
    count: how many.
    seed: of the vectors.

  Raises:
    UserError: the bundle is not whole, or LiteRT is not installed.
  """
  try:
    from ai_edge_litert import interpreter as litert  # Needs an extra.
  except ImportError as e:
    raise errors.UserError(
      "this needs LiteRT: pip install 'hybrid-jax[serve]'."
    ) from e
  folder = pathlib.Path(bundle)
  manifest = files.read_json(folder / 'manifest.json')
  try:
    path = folder / manifest['cloud']['file']
    runner = litert.Interpreter(str(path), num_threads=1).get_signature_runner()
    ((given, source),) = runner.get_input_details().items()
    ((wanted, sink),) = runner.get_output_details().items()
  except (KeyError, TypeError, ValueError, RuntimeError) as e:
    raise errors.UserError(f'{folder} holds no cloud half: {e}.') from e
  tensors = Tensors(
    protocol.Tensor(given, tuple(map(int, source['shape']))),
    protocol.Tensor(wanted, tuple(map(int, sink['shape']))),
    files.sha256(path),
  )
  grid = manifest.get('grid') or _NO_GRID
  rng = np.random.default_rng(seed)
  steps = rng.integers(-_STEPS, _STEPS, (count, *tensors.given.shape))
  vectors = (steps * grid).astype(np.float32)
  return tensors, [
    _question(tensors, str(i), vector, runner(**{given: vector})[wanted])
    for i, vector in enumerate(vectors)
  ]


def request(
  given: protocol.Tensor, vector: np.ndarray, identity: str = '0'
) -> tuple[bytes, dict[str, str]]:
  """The body and the headers that ask for `vector`, in its own shape."""
  data = vector.astype('<f4').tobytes()
  entry = given.describe() | {
    'shape': list(vector.shape),
    'parameters': {'binary_data_size': len(data)},
  }
  text = protocol.dump_json(
    {
      'id': identity,
      'inputs': [entry],
      'parameters': {'binary_data_output': True},
    }
  )
  return text + data, {
    'Content-Type': 'application/octet-stream',
    protocol.HEADER_LENGTH: str(len(text)),
  }


def _question(tensors, identity, vector, logits):
  body, headers = request(tensors.given, vector, identity)
  return Question(body, headers, logits.astype('<f4').tobytes(), identity)
