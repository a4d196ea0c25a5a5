"""What the device sends, and when, against a server that fails by script."""

import dataclasses
import json
import threading
import traceback

import numpy as np
import pytest

from hybrid_jax import errors
from hybrid_jax.deploy.device import (
  budget,
  client,
  connection,
  delivery,
  failures,
)
from tests.deploy.device import stub

ROWS = np.arange(240, dtype=np.float32).reshape(120, 2)


def _device(edge, url, clock, timeout=5.0, **more):
  link = connection.Connection(url, timeout)
  return client.Client(edge, link, clock=clock, sleep=clock.sleep, **more)


def _unused_port():
  with stub.run() as server:
    return server.url


def test_windows_go_out_as_steps_of_sixteen_bits(edge, clock):
  with stub.run() as server:
    device = _device(edge, server.url, clock)
    first, second = device.push(ROWS[:9])
  assert (first.index, second.index, first.label) == (0, 1, 'walk')
  np.testing.assert_array_equal(first.logits, stub.LOGITS)
  # Softmax by hand: e^3 / (1 + e^3 + e).
  assert first.confidence == pytest.approx(0.84379473, abs=1e-7)
  text, data = server.bodies[1][:-6], server.bodies[1][-6:]
  assert first.sent == len(text) + 6
  assert json.loads(text) == {
    'inputs': [
      {
        'name': 'released',
        'shape': [1, 3],
        'datatype': 'INT16',
        'parameters': {'binary_data_size': 6},
      }
    ],
    'parameters': {'binary_data_output': True},
  }
  # The second window has the rows 4 to 7, that is the numbers 8 to 15.
  assert data == np.array([1, -7, sum(range(8, 16))], '<i2').tobytes()
  method, path, headers = server.requests[-1]
  assert (method, path) == ('POST', '/v2/models/cloud/infer')
  assert headers['inference-header-content-length'] == str(len(text))
  assert 'user-agent' not in headers


def test_what_is_tried_again_is_the_same_vector(edge, clock):
  script = ['close', 503, 'truncate', (429, {'Retry-After': '7'})]
  with stub.run(script) as server:
    device = _device(edge, server.url, clock)
    answer = device.infer(ROWS[:4][None])
    assert answer.label == 'walk'
    assert len(server.bodies) == 5
    assert len(set(server.bodies)) == 1
    assert device.infer(ROWS[4:8][None]).index == 1
    assert server.bodies[5] != server.bodies[0]
  assert len(edge.release.released) == 2
  # A connection that was open already may have rested for too long: that is
  # tried anew at once. The others wait, twice as long each time.
  first, second, third = clock.slept
  assert 0.25 <= first <= 0.5
  assert 0.5 <= second <= 1
  assert third == 7
  assert vars(device.counts) == {
    'released': 2,
    'over_budget': 0,
    'out_of_range': 0,
    'answered': 2,
    'dropped': 0,
    'refused': 0,
    'failures': 3,
  }


@pytest.mark.parametrize('status', [408, 429, 502, 503, 504])
def test_what_passes_is_tried_as_often_as_it_may(edge, clock, status):
  with stub.run([status] * 4) as server:
    retry = delivery.Retry(attempts=3, first=1, longest=1.5)
    device = _device(edge, server.url, clock, retry=retry)
    with pytest.raises(failures.Unreachable, match=f'answers {status}'):
      device.infer(ROWS[:4][None])
    assert len(server.bodies) == 3
    assert len(clock.slept) == 2
    assert max(clock.slept) <= 1.5
    # It waits for another call, which sends the same.
    assert len(device) == 1
    (answer,) = device.drain()
    assert answer.index == 0
    assert len(set(server.bodies)) == 1
  assert len(edge.release.released) == 1


def test_an_answer_that_drips_is_too_late(edge, clock):
  with stub.run(['drip']) as server:
    device = _device(edge, server.url, clock, timeout=0.3)
    assert device.push(ROWS[:4]) == []
    assert device.counts.failures == 1
    clock.now += 1
    (answer,) = device.send()
  assert answer.index == 0


@pytest.mark.parametrize('status', [400, 401, 403, 404, 413, 500, 302])
def test_what_does_not_pass_is_not_tried_again(edge, clock, status):
  with stub.run([200, status]) as server:
    device = _device(edge, server.url, clock)
    with pytest.raises(failures.Refused, match=f'answers {status}') as error:
      device.push(ROWS[:12])
    assert error.value.status == status
    assert [a.index for a in error.value.answers] == [0]
    assert len(server.bodies) == 2
    assert [a.index for a in device.drain()] == [2]
  assert (device.counts.refused, clock.slept) == (1, [])


def test_no_error_tells_a_released_number(edge, clock, caplog):
  window = ROWS[:4] + 1000
  number = str(int(window.sum()))
  with stub.run([400, b'{"error": [8028, -7]}', 503, 'truncate']) as server:
    retry = delivery.Retry(attempts=1)
    for i in range(4):
      device = _device(edge, server.url, clock, retry=retry)
      with pytest.raises(errors.UserError) as error:
        device.infer(window[None])
      # The stub repeats what it got.
      assert stub.steps(server.bodies[-1]).tolist() == [i, -7, int(number)]
      for text in (*traceback.format_exception(error.value), repr(device)):
        assert number not in text
        assert str(float(number) / 16) not in text
      entries = [repr(e) for e in device._delivery._queue]
      assert all('\\x' not in e and 'INT16' not in e for e in entries)
  assert not caplog.records


@pytest.mark.parametrize(
  'body',
  [
    b'',
    b'[]',
    b'{"outputs": []}',
    b'{"outputs": [{"datatype": "FP32", "shape": [1, 2], "data": [1, 2]}]}',
    b'{"outputs": [{"datatype": "FP32", "shape": [1, 3], "data": [1, 2]}]}',
    b'{"outputs": [{"datatype": "FP32", "shape": [1, 3], "data": [1, 2, NaN]'
    b'}]}',
    b'{"outputs": [{"datatype": "INT8", "shape": [1, 3], "data": [1, 2, 3]}]}',
    b'[' * 100_000,
    b' ' * (2 << 20),
  ],
)
def test_an_answer_that_is_none(edge, clock, body):
  with stub.run([body]) as server:
    device = _device(edge, server.url, clock)
    with pytest.raises(failures.Refused, match='3 logits'):
      device.infer(ROWS[:4][None])
    assert device.infer(ROWS[4:8][None]).label == 'walk'


def test_offline_the_oldest_are_dropped(edge, clock):
  device = _device(edge, _unused_port(), clock, queue=3)
  for at in range(0, 40, 4):
    assert device.push(ROWS[at : at + 4]) == []
    assert len(device) <= 3
  counts = device.counts
  assert (counts.released, counts.dropped, counts.answered) == (10, 7, 0)
  assert counts.failures == 1  # Before the wait is over, nothing is tried.
  assert clock.slept == []
  clock.now += 0.5
  assert device.push(ROWS[:0]) == []
  assert counts.failures == 2
  with stub.run() as server:
    device._delivery._infer = _device(
      edge, server.url, clock
    )._delivery._infer  # It came back.
    clock.now += 60
    assert [a.index for a in device.send()] == [7, 8, 9]
    assert [stub.steps(b)[0] for b in server.bodies] == [7, 8, 9]
  assert vars(counts) | {'failures': 2} == vars(counts)
  assert (counts.answered, len(device)) == (3, 0)


def test_one_thread_may_take_while_another_sends(edge, clock):
  with stub.run([503, 'close', 503]) as server:
    device = _device(edge, server.url, clock, queue=100)
    taker = threading.Thread(target=lambda: [device.take(row) for row in ROWS])
    taker.start()
    answers = []
    while taker.is_alive() or len(device):
      answers += device.drain()
    taker.join()
    assert [a.index for a in answers] == list(range(30))
    sent = [stub.steps(b)[0] for b in server.bodies]
    assert sorted(set(sent)) == list(range(30))
    assert len(sent) == 33


def test_the_budget_is_not_passed(edge, clock):
  with stub.run() as server:
    limits = budget.Budget(per_hour=5, clock=clock)
    device = _device(edge, server.url, clock, limits=limits)
    assert len(device.push(ROWS)) == 5  # Of thirty windows.
    assert (device.counts.released, device.counts.over_budget) == (5, 25)
    with pytest.raises(failures.OverBudget, match='in the last hour'):
      device.infer(ROWS[:4][None] + 1)
    clock.now += 3600
    assert device.infer(ROWS[:4][None] + 1).index == 5
    for _ in range(2):
      with pytest.raises(failures.OverBudget, match='this input'):
        device.infer(ROWS[:4][None])
    # Nor is a row that lies still released again and again.
    assert len(device.push(np.ones((40, 2)))) == 1
    assert len(server.bodies) == 7
  assert len(edge.release.released) == 7


def test_a_window_out_of_range_is_not_released(edge, clock):
  def outside(window):
    return 'too far' if window.max() > 1000 else None

  edge = dataclasses.replace(edge, outside=outside)
  with stub.run() as server:
    device = _device(edge, server.url, clock)
    far = ROWS.copy()
    far[5, 1] = 1e6  # in the second of thirty windows
    assert device.take(far) == 29
    assert (device.counts.released, device.counts.out_of_range) == (29, 1)
    assert device.out_of_range == 'too far'
    with pytest.raises(failures.OutOfRange, match='too far'):
      device.infer(far[4:8][None])
    assert len(edge.release.released) == 29
    asked = _device(edge, server.url, clock, allow_out_of_range=True)
    assert asked.infer(far[4:8][None]).index == 0


def test_a_hop_that_releases_rows_again_must_be_allowed(edge, clock):
  with pytest.raises(errors.UserError, match='released 4 times'):
    _device(edge, 'http://127.0.0.1:1', clock, hop=1)
  with stub.run() as server:
    limits = budget.Budget(per_input=4, clock=clock)
    device = _device(edge, server.url, clock, hop=1, limits=limits)
    assert len(device.push(ROWS[:10])) == 7


@pytest.mark.parametrize(
  ('window', 'message'),
  [
    (np.zeros((1, 3, 2)), r'shape \[1, 3, 2\]'),
    (np.full((1, 4, 2), np.nan), 'NaN'),
    (np.zeros((1, 4, 2), bool), 'dtype bool'),
  ],
)
def test_a_window_that_does_not_fit_costs_nothing(edge, clock, window, message):
  device = _device(edge, 'http://127.0.0.1:1', clock)
  with pytest.raises(errors.UserError, match=message):
    device.infer(window)
  assert vars(device.counts) == vars(delivery.Counts())
  assert edge.release.released == []


def test_another_cloud_half_gets_no_vector(edge, clock):
  with stub.run(sha256='cd' * 32) as server:
    device = _device(edge, server.url, clock)
    with pytest.raises(failures.Refused, match='not the cloud half'):
      device.push(ROWS[:4])
    assert server.bodies == []
  with stub.run(sha256='ab' * 32) as server:
    assert len(_device(edge, server.url, clock).push(ROWS[:12])) == 3
    assert [r[0] for r in server.requests] == ['GET'] + 3 * ['POST']


@pytest.mark.parametrize(
  'more', [{'queue': 0}, {'retry': delivery.Retry(attempts=0)}]
)
def test_settings_that_do_not_fit(edge, clock, more):
  with pytest.raises(errors.UserError, match='must be positive'):
    _device(edge, 'http://127.0.0.1:1', clock, **more)


def test_windows_of_one_person_past_the_budget_of_a_stream(edge, clock):
  limited = dataclasses.replace(edge, stream={'person': 2, 'side': 100})
  with stub.run() as server:
    device = _device(limited, server.url, clock)
    device.push(ROWS[:8])
    assert device.past_stream_budget() == []
    device.push(ROWS[8:12])
  assert device.past_stream_budget() == ['person']
