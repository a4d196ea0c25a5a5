"""Concatenates two TFLite files: the second runs on the output of the first."""

from typing import Any

import numpy as np


def concat(first: bytes, second: bytes) -> bytes:
  """Returns one file that runs `first` and then `second`.

  Weights, their types and the order of operations stay as they are. So the two
  files may be of different variants.

  Args:
    first: a file with one signature and one output.
    second: a file with one signature and one graph. One of its inputs has the
      name, shape and type of the output of `first`. Its other inputs become
      inputs of the new file.

  Raises:
    ValueError: `second` has no such input.
  """
  from ai_edge_litert import schema_py_generated as schema

  model, added_model = (
    schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    for data in (first, second)
  )
  (signature,), (added_signature,) = (
    model.signatureDefs,
    added_model.signatureDefs,
  )
  graph, (added,) = model.subgraphs[0], added_model.subgraphs
  (output,) = signature.outputs
  (joint,) = [t for t in added_signature.inputs if t.name == output.name] or [
    None
  ]
  if joint is None or _kind(graph, output) != _kind(added, joint):
    raise ValueError(
      f'the second file has no input like {output.name}, the output of the'
      ' first.'
    )

  # Maps tensor indices of `added` to those of `graph`; -1 means no tensor.
  index_of = {-1: -1, joint.tensorIndex: output.tensorIndex}
  for index, tensor in enumerate(added.tensors):
    if index not in index_of:
      model.buffers.append(added_model.buffers[tensor.buffer])
      tensor.buffer = len(model.buffers) - 1
      index_of[index] = len(graph.tensors)
      graph.tensors.append(tensor)
  for operator in added.operators:
    operator.opcodeIndex += len(model.operatorCodes)
    operator.inputs = [index_of[i] for i in operator.inputs]
    operator.outputs = [index_of[i] for i in operator.outputs]
    operator.debugMetadataIndex = -1
  for tensor in (*added_signature.inputs, *added_signature.outputs):
    tensor.tensorIndex = index_of[tensor.tensorIndex]
  graph.operators += added.operators
  model.operatorCodes += added_model.operatorCodes
  signature.inputs += [
    t for t in added_signature.inputs if t.name != output.name
  ]
  signature.outputs = added_signature.outputs
  graph.inputs = [t.tensorIndex for t in signature.inputs]
  graph.outputs = [t.tensorIndex for t in signature.outputs]
  _set_newer_version(model, added_model)
  return _pack(model)


def _kind(graph, entry):
  tensor = graph.tensors[entry.tensorIndex]
  return tensor.type, tuple(tensor.shape)


def _set_newer_version(model, added_model):
  """Sets the least runtime version of `model` to the newer of both."""
  version, added_version = (
    next(
      (
        m.buffers[entry.buffer]
        for entry in m.metadata or ()
        if entry.name == b'min_runtime_version'
      ),
      None,
    )
    for m in (model, added_model)
  )
  if version is not None and added_version is not None:
    version.data = max(version.data, added_version.data, key=_parse_version)


def _parse_version(data):
  text = bytes(bytearray(data)).rstrip(b'\0').decode()
  return tuple(int(part) for part in text.split('.') if part.isdigit())


def _pack(model) -> bytes:
  import flatbuffers

  model.buffers = [_AlignedBuffer(b) for b in model.buffers]
  builder = flatbuffers.Builder(1024)
  builder.Finish(model.Pack(builder), file_identifier=b'TFL3')
  return bytes(builder.Output())


class _AlignedBuffer:
  """A buffer that starts at a multiple of 16 bytes, as the schema requires.

  The schema's own Python code aligns buffers to 4 bytes only.
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
