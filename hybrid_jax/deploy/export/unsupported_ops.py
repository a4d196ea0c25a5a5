"""Finds operations that LiteRT does not support, and their layers."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hybrid_jax import errors

# Names of whole functions, which say nothing of the layer.
_FUNCTION_NAMES = ('StatefulPartitionedCall', 'XlaCallModule')


def schema() -> Any:
  """Returns the module that reads and writes TFLite files.

  Raises:
    UserError: LiteRT is not installed.
  """
  try:
    from ai_edge_litert import schema_py_generated
  except ImportError as e:
    raise errors.UserError(
      "export needs LiteRT: pip install 'hybrid-jax[export]'."
    ) from e
  return schema_py_generated


def operators(data: bytes) -> list[tuple[str, str]]:
  """Returns the name of each operation in a file, and of its output tensor.

  Output tensors have the name of the layer that computes them, such as
  `jit(run)/Model.edge/conv1/...`, except the outputs of the whole file.
  """
  fb = schema()
  names = {v: k for k, v in vars(fb.BuiltinOperator).items()}
  model = fb.Model.GetRootAs(data, 0)
  result = []
  for i in range(model.SubgraphsLength()):
    graph = model.Subgraphs(i)
    for j in range(graph.OperatorsLength()):
      operator = graph.Operators(j)
      code = model.OperatorCodes(operator.OpcodeIndex())
      # The deprecated field has only 8 bits; newer operations use the other.
      name = names[max(code.DeprecatedBuiltinCode(), code.BuiltinCode())]
      if name == 'CUSTOM':
        name = (code.CustomCode() or b'').decode()
        name = name if name.startswith('Flex') else f'CUSTOM {name}'
      layer = b''
      if operator.OutputsLength():
        layer = graph.Tensors(operator.Outputs(0)).Name() or b''
      result.append((name, layer.decode()))
  return result


def check(data: bytes, function: Callable, shapes: Sequence) -> None:
  """Checks that a file has builtin operations only.

  Args:
    data: the file.
    function: the converted function.
    shapes: the shapes of its arguments.

  Raises:
    UserError: it has others; the message names them and their layers.
  """
  unsupported = [
    (op, layer)
    for op, layer in operators(data)
    if op.startswith(('Flex', 'STABLEHLO', 'CUSTOM'))
  ]
  if unsupported:
    raise _error(unsupported, function, shapes)


def explain(
  error: Exception, function: Callable, shapes: Sequence
) -> errors.UserError | None:
  """Returns an error with the operations that the converter complains about.

  Args:
    error: the converter's error; its attribute `errors` may have locations.
    function: the converted function.
    shapes: the shapes of its arguments.

  Returns:
    The error, or None if the converter's error names no operation.
  """
  locations = {
    entry.operator.name: '/'.join(
      call.name
      for call in reversed(entry.location.call)
      if not call.name.startswith(_FUNCTION_NAMES)
    )
    for entry in getattr(error, 'errors', ())
  }
  names = re.findall(
    r"error: (?:.*?\)\)\)?: )?(?:failed to legalize operation )?'([\w.]+)'",
    str(error),
  )
  unsupported = [
    (op, locations.get(op, '')) for op in (*names, *locations) if op
  ]
  return _error(unsupported, function, shapes) if unsupported else None


def _error(unsupported, function, shapes):
  program = jax.make_jaxpr(function)(*(jnp.zeros(s) for s in shapes)).jaxpr
  texts = []
  for op, layer in unsupported:
    if not layer or layer.startswith(_FUNCTION_NAMES):
      primitive = re.sub(r'^\w+\.|^STABLEHLO_|^Flex|_v\d+$', '', op).lower()
      layer = next(_layers_with(program, primitive), '')
    texts.append(f'{op} (at {layer})' if layer else op)
  return errors.UserError(
    f'the file needs {", ".join(dict.fromkeys(texts))}, which LiteRT does not'
    ' support. Replace the layer.'
  )


def _layers_with(program, primitive, outer='') -> Iterator[str]:
  """Yields the layers whose JAX program has such a primitive."""
  for eqn in program.eqns:
    inner = str(eqn.source_info.name_stack)
    layer = '/'.join(part for part in (outer, inner) if part)
    if primitive in eqn.primitive.name:
      yield layer
    for value in eqn.params.values():
      for part in value if isinstance(value, tuple) else (value,):
        part = getattr(part, 'jaxpr', part)
        if hasattr(part, 'eqns'):
          yield from _layers_with(part, primitive, layer)
