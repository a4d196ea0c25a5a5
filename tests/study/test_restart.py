"""A restart of a study after a kill."""

import signal
import subprocess
import time

from tests import studies


def test_killed_twice_and_started_again_gives_the_same_bytes(tmp_path):
  arguments = (
    studies.FEW_STEPS,
    "--config.attack.adversaries=('majority','linear','knn','kde')",
    studies.QUICK,
  )
  unbroken, killed = tmp_path / 'unbroken', tmp_path / 'killed'
  # In a training and between attacks.
  for moment in ('training/siamese-dense1/curve.jsonl', 'results/leakage'):
    process = subprocess.Popen(
      studies.command(killed, *arguments),
      cwd=studies.ROOT,
      env=studies.environment(),
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
  for workdir in (killed, unbroken):
    done = studies.run(workdir, *arguments)
    assert done.returncode == 0, done.stderr
  assert (killed / 'metrics.json').read_bytes() == (
    unbroken / 'metrics.json'
  ).read_bytes()
