"""The gate: what passes, what fails, and what is a mistake."""

import json
import subprocess
import sys

import junitparser
import pytest

from hybrid_jax import errors
from hybrid_jax.report import gate
from tests import studies


def _figures(low, value, high):
  return {'value': value, 'low': low, 'high': high, 'chance': 0.1}


def _row(embedding, person):
  return {
    'split_point': 'dense1',
    'embedding': embedding,
    'utility': _figures(0.9, 0.95, 0.99),
    'leakage': {
      'person': _figures(0.1, 0.2, person),
      'side': _figures(0.5, 0.55, 0.6),
    },
  }


def _metrics():
  return {
    'rows': [_row('simple', 0.8), _row('noisy', 0.25)],
    'controls': {},
    'failed_controls': [],
    'recommended': {'split_point': 'dense1', 'embedding': 'noisy'},
  }


def _audit():
  """What an audit of vectors writes: one row, without utility."""
  row = _row('vectors', 0.25) | {'utility': None}
  return {'rows': [row], 'failed_controls': [], 'recommended': None}


def _check(metrics, min_utility=None, leakage=(), ceiling=(), stream=()):
  bounds = gate.parse_bounds(
    min_utility, list(leakage), list(ceiling), list(stream)
  )
  return gate.check(metrics, gate.pick(metrics, None, None), bounds)


def _passed(checks):
  return {check.name: check.passed for check in checks}


def _run(workdir, *arguments, metrics=None):
  """The program, as a CI would start it."""
  if metrics is not None:
    (workdir / 'metrics.json').write_text(json.dumps(metrics))
  return subprocess.run(
    [sys.executable, '-m', 'launch.gate', f'--workdir={workdir}', *arguments],
    cwd=studies.ROOT,
    env=studies.environment(),
    capture_output=True,
    text=True,
    check=False,
  )


def _is_mistake(done, expected):
  assert done.returncode == 2, done
  assert done.stderr.startswith('error: ')
  assert len(done.stderr.splitlines()) == 1
  assert expected in done.stderr
  assert done.stdout == ''


def test_exactly_on_the_bound_passes():
  # The low end is 0.9, and the high ends are 0.25 and 0.6.
  checks = _check(_metrics(), '0.9', ['person=0.25,side=0.6'])
  names = ['utility', 'leakage of person', 'leakage of side', 'controls']
  assert _passed(checks) == dict.fromkeys(names, True)


def test_rounding_errors_do_not_decide():
  metrics = _metrics()
  figures = metrics['rows'][1]['leakage']['person']
  figures['high'] = 0.1 + 0.2  # 0.30000000000000004
  assert _check(metrics, leakage=['person=0.3'])[0].passed
  figures['high'] = 0.30000001
  (failed, _) = _check(metrics, leakage=['person=0.3'])
  assert not failed.passed
  assert (failed.required, failed.actual) == ('<= 0.300000000', '0.300000010')


@pytest.mark.parametrize(
  ('bounds', 'end', 'actual'),
  [
    # The values, 0.95 and 0.2, and the optimistic ends are all within.
    ({'min_utility': '0.94'}, 'low', '0.9000'),
    ({'leakage': ['person=0.21']}, 'high', '0.2500'),
    ({'ceiling': ['person=0.41']}, 'high', '0.5000'),
  ],
)
def test_the_pessimistic_end_decides(bounds, end, actual):
  metrics = _metrics()
  ceiling = {'person': {'value': 0.4, 'high': 0.5, 'bits': 1.5}}
  metrics['rows'][1]['ceiling'] = ceiling
  (check, _) = _check(metrics, **bounds)
  assert not check.passed
  assert check.actual == actual
  assert f'its {end} end is {actual}' in check.message


def test_failed_controls_fail():
  metrics = _metrics() | {'failed_controls': ['Pure noise is not at chance.']}
  checks = _check(metrics, '0.5')
  assert _passed(checks) == {'utility': True, 'controls': False}
  assert checks[-1].message == 'controls: Pure noise is not at chance.'


def test_which_row_is_checked():
  metrics = _metrics()
  assert gate.pick(metrics, None, None) is metrics['rows'][1]
  assert gate.pick(metrics, 'dense1', 'simple') is metrics['rows'][0]
  audit = _audit()
  assert gate.pick(audit, None, None) is audit['rows'][0]
  assert _check(audit, leakage=['person=0.25'])[0].passed
  with pytest.raises(errors.UserError, match='recommends no row'):
    gate.pick(metrics | {'recommended': None}, None, None)


def test_both_spellings_and_repeated_flags_count(tmp_path):
  bounds = '--min_utility=0.9 --max-leakage=person=0.25 --max_leakage side=0.6'
  point = '--split_point=dense1 --embedding=noisy'
  done = _run(tmp_path, *f'{bounds} {point}'.split(), metrics=_metrics())
  assert done.returncode == 0, done.stderr
  assert done.stdout.count(' pass ') == 4
  assert 'FAIL' not in done.stdout


def test_a_failure_has_exit_code_1_and_a_junit_report(tmp_path):
  report = tmp_path / 'reports' / 'gate.xml'
  done = _run(
    tmp_path,
    '--min-utility=0.91',
    '--max-leakage=person=0.25,side=0.59',
    f'--junit={report}',
    metrics=_metrics(),
  )
  assert done.returncode == 1
  assert done.stderr == ''
  assert done.stdout.count(' FAIL ') == 2
  message = 'utility: its low end is 0.9000, required is >= 0.9100.'
  assert message in done.stdout
  xml = junitparser.JUnitXml.fromfile(str(report))
  assert (xml.tests, xml.failures, xml.errors, xml.skipped) == (4, 2, 0, 0)
  (suite,) = xml
  cases = {case.name: case for case in suite}
  assert cases['utility'].result[0].message == message
  assert cases['leakage of side'].is_failure
  assert cases['leakage of person'].is_passed
  assert cases['controls'].is_passed
  assert [path.name for path in report.parent.iterdir()] == ['gate.xml']


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [
    ([], 'no bound'),
    (['--min-utilty=0.9'], 'Did you mean: min_utility'),
    (['--min-utility=0.9', 'person=0.2'], "unknown argument 'person=0.2'"),
    (['--min-utility=0.9', '--split-point=dense1'], 'go together'),
    (['--min-utility=0.9', '--junit='], '--junit'),
    (['--min-utility=0.9', '--junit=/dev/null/a.xml'], 'could not write'),
    (['--min-utility=0.9', '--workdir='], '--workdir is needed'),
    (['--max-leakage'], 'max_leakage'),
    (['--strangers=yes'], '--strangers=yes is not true or false.'),
  ],
)
def test_a_mistake_is_one_line_with_exit_code_2(tmp_path, arguments, expected):
  _is_mistake(_run(tmp_path, *arguments, metrics=_metrics()), expected)


@pytest.mark.parametrize('content', ['', '{"rows": [', '\xff'])
def test_a_damaged_file_is_one_line(tmp_path, content):
  (tmp_path / 'metrics.json').write_bytes(content.encode('latin-1'))
  _is_mistake(_run(tmp_path, '--min-utility=0.9'), 'metrics.json is damaged')


def test_a_missing_file_is_one_line(tmp_path):
  done = _run(tmp_path, '--min-utility=0.9')
  _is_mistake(done, f'could not read {tmp_path / "metrics.json"}')


def test_metrics_of_another_layout_are_an_error(tmp_path):
  for metrics in (
    [],
    {'rows': [{'leakage': {}}]},
    *({'rows': r, 'failed_controls': []} for r in ([], [None], [{}])),
  ):
    (tmp_path / 'metrics.json').write_text(json.dumps(metrics))
    with pytest.raises(errors.UserError, match='is damaged: it needs'):
      gate.read(tmp_path)


@pytest.mark.parametrize(
  ('text', 'hint'),
  [
    ('95', 'for 95 % write 0.95'),
    ('95%', 'for 95 % write 0.95'),
    ('0.5%', 'for 0.5 % write 0.005'),
    *((t, 'share from 0 to 1.') for t in ('-0.1', '101', 'nan', 'much', '')),
  ],
)
def test_values_that_are_no_share_are_an_error(text, hint):
  for bounds in ((text, [], [], []), (None, [f'person={text}'], [], [])):
    with pytest.raises(errors.UserError) as caught:
      gate.parse_bounds(*bounds)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
  ('bounds', 'expected'),
  [
    ({'leakage': ['persn=0.2']}, "Did you mean 'person'? Known: person, side"),
    ({'ceiling': ['persn=0.2']}, "Did you mean 'person'? Known: person, side"),
    ({'leakage': ['0.2']}, "--max-leakage: '0.2' is not LABEL=SHARE"),
    ({'leakage': ['person=0.2,']}, "'' is not LABEL=SHARE"),
    ({'leakage': ['side=0.6', 'side=0.7']}, "bounds 'side' twice"),
    ({'ceiling': ['person=0.5']}, 'with ceilings on'),
  ],
)
def test_mistakes_in_bounds_are_errors(bounds, expected):
  with pytest.raises(errors.UserError) as caught:
    _check(_metrics(), **bounds)
  assert expected in str(caught.value)


def test_a_utility_bound_on_an_audit_is_an_error():
  with pytest.raises(errors.UserError, match='has no utility'):
    _check(_audit(), '0.9')


@pytest.mark.parametrize('high', [None, '0.2', True, 20.0, float('nan')])
def test_a_stored_figure_must_be_a_share(high):
  metrics = _metrics()
  metrics['rows'][1]['leakage']['person']['high'] = high
  with pytest.raises(errors.UserError, match="'high' of the leakage of person"):
    _check(metrics, leakage=['person=0.9'])


def test_an_unknown_row_lists_the_known_ones():
  with pytest.raises(errors.UserError, match='Known: dense1'):
    gate.pick(_metrics(), 'dense2', 'noisy')
  with pytest.raises(errors.UserError, match='Known: simple, noisy'):
    gate.pick(_metrics(), 'dense1', 'nosy')


def test_a_label_that_looks_like_markup_is_printed_unchanged():
  metrics = _metrics()
  metrics['rows'][1]['leakage']['[red]'] = _figures(0.1, 0.2, 0.3)
  checks = _check(metrics, leakage=['[red]=0.3'])
  shown = gate.terminal(metrics['rows'][1], checks)
  assert 'leakage of [red]' in shown


def test_the_gate_does_not_import_jax():
  script = "import sys, launch.gate\nassert 'jax' not in sys.modules\n"
  subprocess.run([sys.executable, '-c', script], cwd=studies.ROOT, check=True)


def test_a_stream_is_checked_at_its_number_of_windows():
  metrics = _metrics()
  curve = {'1': _figures(0.1, 0.2, 0.3), '64': _figures(0.4, 0.5, 0.6)}
  metrics['rows'][1]['leakage']['person']['by_windows'] = {'class': curve}
  for bound, passed in (('64:person=0.6', True), ('64:person=0.59', False)):
    checks = _check(metrics, stream=[bound])
    assert _passed(checks)['leakage of person, 64 windows'] == passed
  both = _check(metrics, stream=['1:person=0.3,64:person=0.6'])
  assert [c.passed for c in both] == [True] * 3
  for bound, words in {
    '8:person=0.3': "unknown number of windows '8'. Did you mean",
    '64:side=0.3': "unknown number of windows '64'. Known: none",
    'person=0.3': 'is not WINDOWS:LABEL=SHARE',
    '0:person=0.3': 'is not WINDOWS:LABEL=SHARE',
    '9' * 5000 + ':person=0.3': 'is not WINDOWS:LABEL=SHARE',
    '0' * 5000 + '1:person=0.3': 'is not WINDOWS:LABEL=SHARE',
    '64:person=2': 'is not a share',
  }.items():
    with pytest.raises(errors.UserError, match=words.split('. ')[0]):
      _check(metrics, stream=[bound])


def test_strangers_are_checked_in_place_of_the_people_of_the_training_set():
  metrics = _metrics()
  figures = {k: _row('noisy', 0.6)[k] for k in ('utility', 'leakage')}
  metrics['strangers'] = {
    'split_point': 'dense1',
    'embeddings': {'noisy': figures},
  }
  row = gate.of_strangers(metrics, gate.pick(metrics, None, None))
  assert gate.point(row) == 'dense1 noisy strangers'
  bounds = gate.parse_bounds(None, ['person=0.5'], [], [])
  assert _passed(gate.check(metrics, row, bounds))['leakage of person'] is False
  assert _passed(_check(metrics, leakage=['person=0.5']))['leakage of person']
  simple = gate.pick(metrics, 'dense1', 'simple')
  with pytest.raises(errors.UserError, match=r"'simple'.*Known: noisy"):
    gate.of_strangers(metrics, simple)
  with pytest.raises(errors.UserError, match='of strangers'):
    gate.of_strangers(metrics, simple | {'split_point': 'conv1'})
  with pytest.raises(errors.UserError, match='no figures of strangers'):
    gate.of_strangers(_metrics(), simple)
