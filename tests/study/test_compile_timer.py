import time

import jax
import jax.numpy as jnp

from hybrid_jax.study import compile_timer


def test_overlapping_spans_count_once():
  assert compile_timer.total_length([]) == 0
  assert compile_timer.total_length([(5, 6), (0, 2), (1, 3), (1, 2)]) == 4


def test_only_compiling_counts():
  x = jnp.ones(3)
  timer = compile_timer.CompileTimer()
  program = jax.jit(lambda a: jnp.sin(a) @ jnp.cos(a) + jnp.linalg.norm(a))
  start = time.perf_counter()
  program(x)
  elapsed = time.perf_counter() - start
  first, names = timer.seconds(), list(timer.programs)
  assert 0 < first <= elapsed
  assert any('<lambda>' in name for name in names)
  program(x)
  assert timer.seconds() == first
  assert timer.programs == names
