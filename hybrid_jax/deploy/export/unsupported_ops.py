"""What of a program LiteRT has not built in: the operation, and its layer."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from hybrid_jax import errors

_NAMELESS = ('StatefulPartitionedCall', 'XlaCallModule')


def schema() -> Any:
  """The module that reads and writes the format of TFLite files.

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
  """Of each operation of a file its name, and what its result is called.

  Results are called after the layer that computes them, as in
  `jit(run)/Model.edge/conv1/...`; those of the whole file are not.
  """
  fb = schema()
  names = {v: k for k, v in vars(fb.BuiltinOperator).items()}
  model = fb.Model.GetRootAs(data, 0)
  found = []
  for i in range(model.SubgraphsLength()):
    graph = model.Subgraphs(i)
    for j in range(graph.OperatorsLength()):
      operator = graph.Operators(j)
      code = model.OperatorCodes(operator.OpcodeIndex())
      # Old readers know the first of the two, which has only 8 bits.
      name = names[max(code.DeprecatedBuiltinCode(), code.BuiltinCode())]
      if name == 'CUSTOM':
        name = (code.CustomCode() or b'').decode()
        name = name if name.startswith('Flex') else f'CUSTOM {name}'
      layer = b''
      if operator.OutputsLength():
        layer = graph.Tensors(operator.Outputs(0)).Name() or b''
      found.append((name, layer.decode()))
  return found


def check(data: bytes, function: Callable, shapes: Sequence) -> None:
  """Raises `UserError` where a file needs what is not builtin.

  Args:
    data: the file.
    function: what was converted.
    shapes: of its arguments.
  """
  foreign = [
    (op, layer)
    for op, layer in operators(data)
    if op.startswith(('Flex', 'STABLEHLO', 'CUSTOM'))
  ]
  if foreign:
    raise _refusal(foreign, function, shapes)


def explain(
  error: Exception, function: Callable, shapes: Sequence
) -> errors.UserError | None:
  """What the converter's error says of operations; `None` if of none.

  Args:
    error: it may have `errors`, which have places.
    function: what was converted.
    shapes: of its arguments.
  """
  places = {
    found.operator.name: '/'.join(
      call.name
      for call in reversed(found.location.call)
      if not call.name.startswith(_NAMELESS)
    )
    for found in getattr(error, 'errors', ())
  }
  named = re.findall(
    r"error: (?:.*?\)\)\)?: )?(?:failed to legalize operation )?'([\w.]+)'",
    str(error),
  )
  foreign = [(op, places.get(op, '')) for op in (*named, *places) if op]
  return _refusal(foreign, function, shapes) if foreign else None


def _refusal(foreign, function, shapes):
  program = jax.make_jaxpr(function)(*(jnp.zeros(s) for s in shapes)).jaxpr
  told = []
  for op, layer in foreign:
    if not layer or layer.startswith(_NAMELESS):
      stem = re.sub(r'^\w+\.|^STABLEHLO_|^Flex|_v\d+$', '', op).lower()
      layer = next(_places(program, stem), '')
    told.append(f'{op} (at {layer})' if layer else op)
  return errors.UserError(
    f'the file needs {", ".join(dict.fromkeys(told))}, which LiteRT has not'
    ' built in.'
  )


def _places(program, stem, outer='') -> Iterator[str]:
  """Where JAX's program has a primitive of such a name."""
  for eqn in program.eqns:
    inner = str(eqn.source_info.name_stack)
    place = '/'.join(part for part in (outer, inner) if part)
    if stem in eqn.primitive.name:
      yield place
    for value in eqn.params.values():
      for part in value if isinstance(value, tuple) else (value,):
        part = getattr(part, 'jaxpr', part)
        if hasattr(part, 'eqns'):
          yield from _places(part, stem, place)
