"""The manifests by their schemas, and by what the server really takes."""

import copy
import json
import pathlib
import re
import shlex
import subprocess
import sys

import kubernetes_validate as validate
import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / 'deploy'
KUBERNETES = '1.34'
# Of KServe's ComponentExtensionSpec, beside a pod's own fields.
KSERVE = {
  'minReplicas': int,
  'maxReplicas': int,
  'scaleTarget': int,
  'scaleMetric': str,
  'containerConcurrency': int,
  'timeout': int,
}


def _documents(name):
  return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def _kind(name, kind):
  (found,) = [d for d in _documents(name) if d['kind'] == kind]
  return found


def _pod(name):
  if name == 'kserve.yaml':
    predictor = _kind(name, 'InferenceService')['spec']['predictor']
    return {k: v for k, v in predictor.items() if k not in KSERVE}
  return _kind(name, 'Deployment')['spec']['template']['spec']


def _check(document):
  validate.validate(document, KUBERNETES, strict=True)


def test_kubernetes_by_its_schema():
  documents = _documents('kubernetes.yaml')
  assert [d['kind'] for d in documents] == [
    'Deployment',
    'Service',
    'HorizontalPodAutoscaler',
    'PodDisruptionBudget',
  ]
  for document in documents:
    _check(document)


def test_the_schema_finds_mistakes():
  deployment = _kind('kubernetes.yaml', 'Deployment')
  for change in (
    lambda c: c.update(readynessProbe=c.pop('readinessProbe')),
    lambda c: c['ports'][0].update(containerPort='8000'),
    lambda c: c.update(args=' '.join(c['args'])),
  ):
    changed = copy.deepcopy(deployment)
    change(changed['spec']['template']['spec']['containers'][0])
    with pytest.raises(validate.ValidationError):
      _check(changed)


def test_kserve_by_its_fields_and_a_pods_schema():
  (service,) = _documents('kserve.yaml')
  assert service['apiVersion'] == 'serving.kserve.io/v1beta1'
  assert service['kind'] == 'InferenceService'
  # KServe takes names of DNS that start with a letter.
  assert re.fullmatch(
    r'[a-z]([-a-z0-9]*[a-z0-9])?', service['metadata']['name']
  )
  assert set(service) == {'apiVersion', 'kind', 'metadata', 'spec'}
  assert set(service['spec']) == {'predictor'}
  predictor = service['spec']['predictor']
  for name, kind in KSERVE.items():
    assert type(predictor[name]) is kind
  assert 0 <= predictor['minReplicas'] <= predictor['maxReplicas']
  assert predictor['scaleMetric'] in ('cpu', 'memory', 'concurrency', 'rps')
  assert predictor['scaleTarget'] <= predictor['containerConcurrency']
  pod = _pod('kserve.yaml')
  _check(
    {
      'apiVersion': 'v1',
      'kind': 'Pod',
      'metadata': {'name': 'pod'},
      'spec': pod,
    }
  )
  (container,) = pod['containers']
  assert container['name'] == 'kserve-container'  # By which KServe knows it.
  (storage,) = [e for e in container['env'] if e['name'] == 'STORAGE_URI']
  assert storage['value']
  assert '--bundle=/mnt/models' in container['args']
  limit = f'--max_concurrency={predictor["containerConcurrency"]}'
  assert limit in container['args']


@pytest.mark.parametrize('name', ['kubernetes.yaml', 'kserve.yaml'])
def test_the_container_is_what_the_server_takes(name):
  pod = _pod(name)
  (container,) = pod['containers']
  flags = dict(a.removeprefix('--').split('=', 1) for a in container['args'])
  source = (ROOT / 'launch' / 'serve.py').read_text()
  known = set(re.findall(r"DEFINE_\w+\(\s*'(\w+)'", source))
  assert 'max_concurrency' in known
  assert set(flags) <= known
  (port,) = container['ports']
  assert port['containerPort'] == int(flags['port'])
  routes = (ROOT / 'hybrid_jax' / 'serving' / 'app.py').read_text()
  for probe, path in (
    ('readinessProbe', '/v2/health/ready'),
    ('livenessProbe', '/v2/health/live'),
  ):
    get = container[probe]['httpGet']
    assert get['path'] == path
    assert f"'{path}'" in routes
    assert get['port'] in (port['containerPort'], port.get('name'))
    assert get.get('scheme', 'HTTP') == (
      'HTTPS' if 'tls_key' in flags else 'HTTP'
    )
  # Nothing may be written, and all that is read is mounted from a volume.
  assert container['securityContext']['readOnlyRootFilesystem'] is True
  assert container['securityContext']['allowPrivilegeEscalation'] is False
  assert {'cpu', 'memory'} <= set(container['resources']['limits'])
  volumes = {v['name']: v for v in pod['volumes']}
  assert all(m['readOnly'] for m in container['volumeMounts'])
  mounts = {
    m['mountPath']: volumes[m['name']] for m in container['volumeMounts']
  }
  for flag in ('token_file', 'tls_cert', 'tls_key'):
    if flag in flags:
      secret = mounts[str(pathlib.PurePath(flags[flag]).parent)]['secret']
      # The comment on top says how to make it.
      assert secret['secretName'] in (DEPLOY / name).read_text().split('---')[0]
  assert flags['token_file']
  if flags['bundle'] != '/mnt/models':
    assert flags['bundle'] in mounts


def test_replicas_end_after_their_last_answer():
  pod = _pod('kubernetes.yaml')
  (container,) = pod['containers']
  (drain,) = [a for a in container['args'] if a.startswith('--drain_seconds=')]
  before = container['lifecycle']['preStop']['sleep']['seconds']
  server = (ROOT / 'hybrid_jax' / 'serving' / 'server.py').read_text()
  send = int(re.search(r'_SEND_SECONDS = (\d+)', server)[1])
  needed = before + int(drain.partition('=')[2]) + send
  assert pod['terminationGracePeriodSeconds'] > needed


def test_selectors_and_targets_meet():
  deployment = _kind('kubernetes.yaml', 'Deployment')
  template = deployment['spec']['template']
  labels = template['metadata']['labels'].items()
  (container,) = template['spec']['containers']
  service = _kind('kubernetes.yaml', 'Service')['spec']
  budget = _kind('kubernetes.yaml', 'PodDisruptionBudget')['spec']
  for selector in (
    deployment['spec']['selector']['matchLabels'],
    service['selector'],
    budget['selector']['matchLabels'],
  ):
    assert selector
    assert selector.items() <= labels
  assert service['ports'][0]['targetPort'] == container['ports'][0]['name']
  scaler = _kind('kubernetes.yaml', 'HorizontalPodAutoscaler')['spec']
  assert scaler['scaleTargetRef']['name'] == deployment['metadata']['name']
  assert 'replicas' not in deployment['spec']  # Or each apply would undo it.
  notes = template['metadata']['annotations']
  port = container['ports'][0]['containerPort']
  assert notes['prometheus.io/port'] == str(port)


def test_the_image_holds_all_that_the_server_imports():
  text = (DEPLOY / 'Dockerfile').read_text().replace('\\\n', '')
  run = re.search(r'RUN (python -c ".*?") > needed.txt', text)[1]
  _, _, code = shlex.split(run)
  needed = subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  ).stdout.split()
  names = {re.split('[<>=]', n)[0].lower().replace('-', '_') for n in needed}
  assert {'absl_py', 'ml_collections', 'numpy', 'uvicorn'} <= names
  assert not names & {'jax', 'flax', 'tensorflow'}
  # Each distribution that the server's modules come from is asked for, or comes
  # with one that is.
  script = (
    'import importlib.metadata as m, json, re, sys\n'
    'import launch.serve\n'
    'from hybrid_jax.deploy.server import addresses, app\n'
    'from hybrid_jax.deploy.server import http_server, loaded_half\n'
    'from ai_edge_litert import interpreter\n'
    'found = m.packages_distributions()\n'
    'tops = {name.split(".")[0] for name in list(sys.modules)}\n'
    'used = sorted({found[t][0] for t in tops if t in found and t[0] != "_"})\n'
    'needs = {d: [re.split("[^A-Za-z0-9_.-]", r)[0] for r in m.requires(d)'
    ' or [] if "extra" not in r] for d in used}\n'
    'print(json.dumps(needs))\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', script],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  needs = {
    _plain(name): {_plain(n) for n in names_}
    for name, names_ in json.loads(done.stdout).items()
  }
  needs.pop('hybrid_jax', None)  # It is copied.
  there = set(names)
  while more := {n for d in there & set(needs) for n in needs[d]} - there:
    there |= more
  assert set(needs) <= there, set(needs) - there


def _plain(name):
  return re.sub('[-.]', '_', name.lower())


def test_the_image_runs_as_nobody_and_tells_its_health():
  text = (DEPLOY / 'Dockerfile').read_text().replace('\\\n', '')
  user = re.search(r'^USER (\d+):\d+$', text, re.M)[1]
  for name in ('kubernetes.yaml', 'kserve.yaml'):
    pod = _pod(name)
    context = (
      pod.get('securityContext') or pod['containers'][0]['securityContext']
    )
    assert context['runAsNonRoot'] is True
    assert context['runAsUser'] == int(user) > 0
  assert '/v2/health/ready' in re.search(r'^HEALTHCHECK .*$', text, re.M)[0]
  assert 'ENTRYPOINT ["python", "-m", "launch.serve"]' in text
  command = json.loads(re.search(r'^CMD (\[.*\])$', text, re.M)[1])
  assert '--bundle=/bundle' in command
