"""Two TFLite files as one: what the first gives, the second takes."""

from typing import Any

import numpy as np


def join(first: bytes, second: bytes) -> bytes:
  """The file that runs `first`, and then `second` on what it gives.

  Neither is changed: weights, their types and the order of operations stay. So
  the parts may be of different variants.

  Args:
    first: a file with one signature of one output.
    second: a file with one signature and one graph, of which an input has that
      output's name, shape and type. Its other inputs become the whole's too.

  Raises:
    ValueError: there is no such input.
  """
  from ai_edge_litert import schema_py_generated as schema

  whole, tail = (
    schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    for data in (first, second)
  )
  (signature,), (end,) = whole.signatureDefs, tail.signatureDefs
  (given,) = signature.outputs
  (taken,) = [t for t in end.inputs if t.name == given.name] or [None]
  graph, (added,) = whole.subgraphs[0], tail.subgraphs
  if taken is None or _kind(graph, given) != _kind(added, taken):
    raise ValueError(f'the second file takes no {given.name} of the first.')

  place = {-1: -1, taken.tensorIndex: given.tensorIndex}  # -1 is for none.
  for index, tensor in enumerate(added.tensors):
    if index not in place:
      whole.buffers.append(tail.buffers[tensor.buffer])
      tensor.buffer = len(whole.buffers) - 1
      place[index] = len(graph.tensors)
      graph.tensors.append(tensor)
  for operator in added.operators:
    operator.opcodeIndex += len(whole.operatorCodes)
    operator.inputs = [place[i] for i in operator.inputs]
    operator.outputs = [place[i] for i in operator.outputs]
    operator.debugMetadataIndex = -1
  for tensor in (*end.inputs, *end.outputs):
    tensor.tensorIndex = place[tensor.tensorIndex]
  graph.operators += added.operators
  whole.operatorCodes += tail.operatorCodes
  signature.inputs += [t for t in end.inputs if t.name != given.name]
  signature.outputs = end.outputs
  graph.inputs = [t.tensorIndex for t in signature.inputs]
  graph.outputs = [t.tensorIndex for t in signature.outputs]
  _raise_version(whole, tail)
  return _pack(whole)


def _kind(graph, named):
  tensor = graph.tensors[named.tensorIndex]
  return tensor.type, tuple(tensor.shape)


def _raise_version(whole, tail):
  """The whole needs the newer of the two runtimes."""
  mine, other = (
    next(
      (
        model.buffers[m.buffer]
        for m in model.metadata or ()
        if m.name == b'min_runtime_version'
      ),
      None,
    )
    for model in (whole, tail)
  )
  if mine is not None and other is not None:
    mine.data = max(mine.data, other.data, key=_version)


def _version(data):
  text = bytes(bytearray(data)).rstrip(b'\0').decode()
  return tuple(int(part) for part in text.split('.') if part.isdigit())


def _pack(model) -> bytes:
  import flatbuffers

  model.buffers = [_Aligned(b) for b in model.buffers]
  builder = flatbuffers.Builder(1024)
  builder.Finish(model.Pack(builder), file_identifier=b'TFL3')
  return bytes(builder.Output())


class _Aligned:
  """A buffer at a multiple of 16 bytes, as the schema asks.

  The schema's own Python code packs it at a multiple of 4.
  """

  def __init__(self, buffer: Any):
    self._data = buffer.data

  def Pack(self, builder: Any) -> int:
    from ai_edge_litert import schema_py_generated as schema

    vector = None
    if self._data is not None:
      data = np.asarray(self._data, np.uint8).tobytes()
      builder.StartVector(1, len(data), 16)
      builder.head -= len(data)
      builder.Bytes[builder.head : builder.head + len(data)] = data
      vector = builder.EndVector()
    schema.BufferStart(builder)
    if vector is not None:
      schema.BufferAddData(builder, vector)
    return schema.BufferEnd(builder)
