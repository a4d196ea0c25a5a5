"""The page in a headless browser: what it shows, and what it sends."""

import json
import re
import shutil

import jax
import numpy as np
import pytest

from hybrid_jax.deploy.server import page_files
from tests.deploy.server import servers, sites

sync_api = pytest.importorskip('playwright.sync_api')
pytest.importorskip('tensorflow')

_CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser')
pytestmark = [
  pytest.mark.skipif(_CHROMIUM is None, reason='Chromium is not installed'),
  pytest.mark.skipif(
    not (page_files.HERE / 'vendor/stamp').exists(),
    reason=f'LiteRT.js is missing: run bash {page_files.HERE}/vendor.sh',
  ),
]
_FLAGS = (
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
)
# The noise must come from the system's random generator alone.
_NO_RANDOM = """
Math.random = () => { throw new Error('Math.random was called'); };
"""
_TOKEN = 'a-token-of-some-length'


@pytest.fixture(scope='module')
def site(tmp_path_factory) -> sites.Site:
  return sites.make(tmp_path_factory.mktemp('site'))


@pytest.fixture(scope='module')
def running(site, tmp_path_factory):
  log = tmp_path_factory.mktemp('server') / 'log'
  with servers.run(site.bundle, log, f'--page={site.folder}') as running:
    yield running


@pytest.fixture(scope='module')
def browser():
  with sync_api.sync_playwright() as playwright:
    browser = playwright.chromium.launch(
      executable_path=_CHROMIUM, args=list(_FLAGS)
    )
    yield browser
    browser.close()


@pytest.fixture
def page(browser):
  """A page on a phone's screen, with lists of its errors and requests."""
  context = browser.new_context(
    viewport={'width': 360, 'height': 740}, service_workers='block'
  )
  context.add_init_script(_NO_RANDOM)
  page = context.new_page()
  page.set_default_timeout(20_000)
  page.traffic, page.mistakes = [], []
  page.on('request', lambda r: page.traffic.append(r))
  page.on('pageerror', lambda e: page.mistakes.append(str(e)))
  page.on('console', lambda m: _note(page, m))
  yield page
  context.close()


def _note(page, message):
  # LiteRT writes all of its log, of any level, as errors.
  log = re.match(r'(INFO|WARNING|VERBOSE): ', message.text)
  if message.type == 'error' and not log:
    page.mistakes.append(message.text)


def _address(running):
  return f'http://127.0.0.1:{running.port}/'


def _open(page, running):
  page.goto(_address(running))
  page.wait_for_selector('body[data-ready]')


def _play_all(page):
  page.select_option('#speed', label='fastest')
  page.click('#play')
  page.wait_for_selector('#note:not([hidden])')


def _sent(page):
  """Returns the JSON of every inference request, and the bytes after it."""
  out = []
  for request in page.traffic:
    if request.url.endswith('/infer'):
      body = request.post_data_buffer
      length = int(request.headers['inference-header-content-length'])
      out.append((json.loads(body[:length]), body[length:]))
  return out


def test_only_the_released_vector_leaves(page, running, site):
  _open(page, running)
  _play_all(page)
  assert page.mistakes == []
  assert all(r.url.startswith(_address(running)) for r in page.traffic)
  assert all(
    r.post_data_buffer is None for r in page.traffic if 'infer' not in r.url
  )
  sent = _sent(page)
  assert len(sent) == len(site.windows)  # Each window once.
  vectors = []
  for head, data in sent:
    (entry,) = head.pop('inputs')
    assert head == {}
    assert entry == {
      'name': 'released',
      'shape': [1, 4],
      'datatype': 'INT16',
      'parameters': {'binary_data_size': 8},
    }
    assert len(data) == 8
    vectors.append(np.frombuffer(data, '<i2') * np.float32(site.cut.grid))
  vectors = np.stack(vectors)
  # The noise: steps about what the edge gives without any.
  silent = jax.jit(site.cut.edge(rounded=False))
  clean = np.concatenate(
    [np.asarray(silent(x[None], np.zeros(4, 'f4'))) for x in site.windows]
  )
  noise = (vectors - clean) / 0.2
  assert abs(noise.mean()) < 0.5  # Of 96 numbers: five standard errors.
  assert 0.6 < noise.std() < 1.4

  truth = np.array([w['primary'] for w in site.live['windows']])
  logits = np.asarray(jax.jit(site.cut.cloud())(vectors))
  right = int((logits.argmax(-1) == truth).sum())
  assert f'Right in {right} of {len(truth)} windows' in page.inner_text(
    '#utility'
  )
  assert page.inner_text('#answer') == sites.LABELS[logits[-1].argmax()]
  _check_attacker(page, site, vectors)


def _check_attacker(page, site, vectors):
  """Compares the guesses with scikit-learn, by one and by many windows."""
  person = np.array([w['sensitive'] for w in site.live['windows']])
  logs = site.attackers['private'].predict_log_proba(vectors)
  hits = int((logs.argmax(-1) == person).sum())
  assert f'{hits} of {len(person)} (' in page.inner_text('#private .tally')
  likelihoods = logs - np.array(sites.LOG_PRIOR)
  last = likelihoods[person == person[-1]].sum(axis=0).argmax()
  heads = page.locator('#private .guess-head').all_inner_texts()
  assert f'after {sites.SESSION} windows' in heads[1]
  assert f'person {last + 1}' in heads[1]


def test_features_without_the_edge_stay_in_the_page(page, running, site):
  _open(page, running)
  _play_all(page)
  clean = jax.jit(_open_cut(site))
  person = np.array([w['sensitive'] for w in site.live['windows']])
  features = np.concatenate([np.asarray(clean(x[None])) for x in site.windows])
  hits = site.attackers['open'].predict(features) == person
  assert f'{hits.sum()} of {len(person)} (' in page.inner_text('#open .tally')
  for (_, data), vector in zip(_sent(page), features, strict=True):
    assert vector[:2].tobytes() not in data


def _open_cut(site):
  _, opened = sites._cuts()
  return opened.edge()


def test_the_noise_is_normal_and_from_the_system(page, running):
  _open(page, running)
  draw = """async (bits) => {
    if (bits !== null) crypto.getRandomValues = (a) => a.fill(bits);
    const noise = await import('/page/noise.js');
    return Array.from(noise.standardNormal(bits === null ? 100001 : 5));
  }"""
  drawn = np.array(page.evaluate(draw, None))
  assert drawn.shape == (100_001,)
  assert abs(drawn.mean()) < 0.02
  assert abs(drawn.std() - 1) < 0.02
  assert abs((np.abs(drawn) > 1.96).mean() - 0.05) < 0.005
  # Known bits give the numbers of Box and Muller's transform.
  for byte in (0x00, 0x5A, 0xFF):
    word = int.from_bytes(bytes([byte]) * 4, 'little')
    uniform = ((word << 32 | word) >> 11) * 2.0**-53 + 2.0**-54
    radius, angle = np.sqrt(-2 * np.log(uniform)), 2 * np.pi * uniform
    expected = [radius * np.cos(angle)] * 3 + [radius * np.sin(angle)] * 2
    np.testing.assert_allclose(
      page.evaluate(draw, word), expected, rtol=1e-6, atol=1e-7
    )
  message = page.evaluate("""async () => {
    Object.defineProperty(globalThis, 'crypto', { value: undefined });
    const noise = await import('/page/noise.js');
    try { noise.standardNormal(1); } catch (e) { return e.message; }
  }""")
  assert 'nothing may be sent' in message


def test_a_window_far_outside_of_the_training_data(page, running):
  _open(page, running)
  messages = page.evaluate("""async () => {
    const { Edge } = await import('/page/edge.js');
    const edge = new Edge({ edge: {
      inputs: { x: {
        dtype: 'float32',
        channels: ['acc (g)', 'gyr (rad/s)'],
        range: { mean: [0, 1], std: [1, 2], limit: [3, 4] },
      } },
      outputs: { released: {} },
    } }, null);
    return [[3, -7, 0, 0], [0, 0, 1, 11]].map(
      (rows) => edge.outside(Float32Array.from(rows)),
    );
  }""")
  assert messages[0] is None
  assert 'gyr (rad/s) is up to 5.00 deviations' in messages[1]


def test_nan_is_not_sent(page, running, site):
  _open(page, running)
  message = page.evaluate("""async () => {
    const { Edge } = await import('/page/edge.js');
    const edge = await Edge.load('/bundle');
    const window = new Float32Array(32 * 6);
    window[7] = NaN;
    try { await edge.run(window); } catch (e) { return e.message; }
  }""")
  assert message == 'The window holds NaN or infinity; it is not sent.'


def test_a_server_without_integers_gets_floats(page, running, site):
  def plain(route):
    answer = route.fetch()
    metadata = answer.json()
    metadata['parameters'].pop('wire_datatypes', None)
    route.fulfill(response=answer, json=metadata)

  page.route(re.compile('/v2/models/cloud$'), plain)
  _open(page, running)
  _play_all(page)
  assert page.mistakes == []
  for head, data in _sent(page):
    assert head['inputs'][0]['datatype'] == 'FP32'
    steps = np.frombuffer(data, '<f4') / site.cut.grid
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_a_wrong_token_and_a_stopped_server(page, site, tmp_path):
  (tmp_path / 'token').write_text(_TOKEN)
  arguments = (f'--page={site.folder}', f'--token_file={tmp_path / "token"}')
  with servers.run(site.bundle, tmp_path / 'log', *arguments) as running:
    _open(page, running)
    page.wait_for_selector('#error:has-text("asks for a token")')
    for token, message in (('wrong', 'does not accept'), (_TOKEN, None)):
      page.fill('#token-value', token)
      page.click('#token button')
      if message:
        page.wait_for_selector(f'#error:has-text("{message}")')
    page.wait_for_selector('#utility:has-text("Right in")')
    assert page.locator('#error').is_hidden()
    page.click('#play')
    running.stop()
    page.click('#play')
    page.wait_for_selector('#error:has-text("cannot be reached")')
    assert page.inner_text('#play') == 'Play'
    stored = page.evaluate(
      'JSON.stringify([{...localStorage}, {...sessionStorage},'
      ' document.cookie])'
    )
    assert stored == '[{},{},""]'


def test_sensors_are_resampled_in_the_bundles_units(page, running):
  _open(page, running)
  rows = page.evaluate(
    """async (channels) => {
      const { Sensors } = await import('/page/source.js');
      const sensors = new Sensors(channels, 32, 50);
      const at = (ms, g, degrees) => sensors.add({
        accelerationIncludingGravity: { x: 9.80665 * g, y: 0, z: -9.80665 },
        rotationRate: { alpha: degrees, beta: 0, gamma: 180 },
      }, ms);
      at(100, 0, 0); at(130, 3, 90); at(190, 9, 90);
      const nothing = { accelerationIncludingGravity: { x: null, y: 0, z: 0 },
        rotationRate: null };
      sensors.add(nothing, 195);
      return sensors.take(0, 99);
    }""",
    sites.CHANNELS,
  )
  # 50 Hz from 100 ms on: at 100, 120, 140, 160 and 180 ms.
  np.testing.assert_allclose([r[0] for r in rows], [0, 2, 4, 6, 8], atol=1e-9)
  np.testing.assert_allclose(
    [r[3] for r in rows], np.pi / 2 * np.array([0, 2 / 3, 1, 1, 1])
  )
  np.testing.assert_allclose([r[2] for r in rows], -1)
  np.testing.assert_allclose([r[5] for r in rows], np.pi)


def test_sensors_are_played_and_their_windows_sent(page, running):
  _open(page, running)
  page.select_option('#source', label='this device')
  page.wait_for_selector('#note:has-text("a demonstration")')
  page.click('#play')
  page.evaluate("""() => setInterval(() => dispatchEvent(
    new DeviceMotionEvent('devicemotion', {
      accelerationIncludingGravity: { x: 1, y: 2, z: 9 },
      rotationRate: { alpha: 1, beta: 2, gamma: 3 },
    })), 10)""")
  page.wait_for_selector('#progress:has-text("2 windows sent")')
  page.click('#play')
  assert page.mistakes == []
  assert len(_sent(page)) >= 2
  assert page.inner_text('#answer') in sites.LABELS
  assert page.inner_text('#answer-mark') == ''  # Nobody knows the truth.
  assert page.inner_text('#private .tally') == ''


def test_a_device_without_sensors_shows_a_message(page, running):
  _open(page, running)
  page.select_option('#source', label='this device')
  page.wait_for_selector('#error:has-text("No readings come")')
  page.add_init_script('delete globalThis.DeviceMotionEvent')
  _open(page, running)
  page.select_option('#source', label='this device')
  page.wait_for_selector('#error:has-text("no motion sensors")')
  assert page.input_value('#source') == 'recorded'
  _play_all(page)


def test_it_fits_a_phone_and_has_labels(page, running):
  _open(page, running)
  _play_all(page)
  assert page.evaluate('document.documentElement.scrollWidth') <= 360
  assert page.inner_text('#live').startswith('The cloud says ')
  unnamed = page.evaluate("""() => [...document.querySelectorAll(
    'button, select, input, canvas, [role=img]')].filter((e) =>
    !(e.textContent.trim() && e.tagName === 'BUTTON')
    && !e.labels?.length && !e.getAttribute('aria-label')).map((e) => e.id)""")
  assert unnamed == []
