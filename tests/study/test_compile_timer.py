import time

import jax
import jax.numpy as jnp

from hybrid_jax.study import compile_timer


def test_time_in_which_several_compile_counts_once():
  assert compile_timer.covered([]) == 0
  assert compile_timer.covered([(5, 6), (0, 2), (1, 3), (1, 2)]) == 4


def test_what_is_compiled_counts_and_what_runs_does_not():
  x = jnp.ones(3)
  watch = compile_timer.Watch()
  program = jax.jit(lambda a: jnp.sin(a) @ jnp.cos(a) + jnp.linalg.norm(a))
  began = time.perf_counter()
  program(x)
  took = time.perf_counter() - began
  first = watch.seconds()
  assert 0 < first <= took
  program(x)
  assert watch.seconds() == first
