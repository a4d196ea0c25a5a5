"""A restart of a study after a kill."""

import signal
import subprocess
import time

from tests import studies


def test_killed_twice_and_started_again_gives_the_same_bytes(
  few_steps, tmp_path
):
  killed = tmp_path / 'killed'
  # In a training and between attacks.
  for moment in ('training/siamese-dense1/curve.jsonl', 'results/leakage'):
    process = subprocess.Popen(
      studies.command(killed, studies.FEW_STEPS, studies.QUICK),
      cwd=studies.ROOT,
      env=studies.environment(studies.LEAST_OPTIMIZED),
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    path = killed / moment
    while not (path.is_file() or (path.is_dir() and any(path.iterdir()))):
      assert time.monotonic() < deadline
      assert process.poll() is None, f'it ended before {moment} was there'
      time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / 'metrics.json').exists()
  done = studies.run(
    killed, studies.FEW_STEPS, studies.QUICK, flags=studies.LEAST_OPTIMIZED
  )
  assert done.returncode == 0, done.stderr
  assert (killed / 'metrics.json').read_bytes() == (
    few_steps / 'metrics.json'
  ).read_bytes()
