"""The private parts of JAX and Orbax that several processes need."""

import pathlib
import subprocess
import sys

from orbax.checkpoint._src.futures import synchronization

from tests.training.distributed import cluster

_STORE = """
import sys
import jax
from hybrid_jax.training import distributed, failure_broadcast
jax.distributed.initialize(sys.argv[1], 1, 0)
store = failure_broadcast.key_value_store()
store.key_value_set('folder/key', 'value')
print(store.blocking_key_value_get('folder/key', 1000))
print(len(store.key_value_dir_get('folder')))
distributed.barrier('end')
jax.distributed.shutdown()
"""


def test_the_key_value_store_of_jax():
  """It is private, so a new version of JAX may change it."""
  done = subprocess.run(
    [sys.executable, '-c', _STORE, f'127.0.0.1:{cluster.free_port()}'],
    cwd=cluster.ROOT,
    env=cluster.environment(1),
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert done.stdout.splitlines() == ['value', '1'], done.stderr


def test_orbax_counts_its_operations():
  """Its counter is private, so a new version may change it."""
  counter = synchronization.OperationIdGenerator
  number = int(counter.get_current_operation_id())
  counter.next_operation_id()
  assert int(counter.get_current_operation_id()) == number + 1


def test_no_other_module_imports_a_private_one():
  package = pathlib.Path(cluster.ROOT) / 'hybrid_jax'
  importing = [
    str(path.relative_to(package))
    for path in sorted(package.rglob('*.py'))
    if '._src' in path.read_text(encoding='utf-8')
  ]
  assert importing == [
    'training/checkpoint.py',
    'training/failure_broadcast.py',
  ]
