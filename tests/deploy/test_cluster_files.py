"""Checks the deployment files against their schemas and against the server."""

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
SERVER = ROOT / 'hybrid_jax' / 'deploy' / 'server'
KUBERNETES = '1.34'
# Fields of KServe's ComponentExtensionSpec, beside those of a pod.
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
  (document,) = [d for d in _documents(name) if d['kind'] == kind]
  return document


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
  # KServe's names are DNS names that start with a letter.
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
  assert container['name'] == 'kserve-container'  # KServe needs this name.
  (storage,) = [e for e in container['env'] if e['name'] == 'STORAGE_URI']
  assert storage['value']
  assert '--bundle=/mnt/models' in container['args']
  limit = f'--max_concurrency={predictor["containerConcurrency"]}'
  assert limit in container['args']


@pytest.mark.parametrize('name', ['kubernetes.yaml', 'kserve.yaml'])
def test_the_container_has_valid_flags_and_paths(name):
  pod = _pod(name)
  (container,) = pod['containers']
  flags = dict(a.removeprefix('--').split('=', 1) for a in container['args'])
  source = (ROOT / 'hybrid_jax' / 'cli' / 'serve.py').read_text()
  known = set(re.findall(r"DEFINE_\w+\(\s*'(\w+)'", source))
  assert 'max_concurrency' in known
  assert set(flags) <= known
  (port,) = container['ports']
  assert port['containerPort'] == int(flags['port'])
  routes = (SERVER / 'app.py').read_text()
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
  # The container writes nothing, and reads from mounted volumes.
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
      # The comment at the top shows how to create it.
      assert secret['secretName'] in (DEPLOY / name).read_text().split('---')[0]
  assert flags['token_file']
  if flags['bundle'] != '/mnt/models':
    assert flags['bundle'] in mounts


def test_the_grace_period_is_longer_than_the_drain():
  pod = _pod('kubernetes.yaml')
  (container,) = pod['containers']
  (drain,) = [a for a in container['args'] if a.startswith('--drain_seconds=')]
  pre_stop = container['lifecycle']['preStop']['sleep']['seconds']
  server = (SERVER / 'http_server.py').read_text()
  send = int(re.search(r'_SEND_SECONDS = (\d+)', server)[1])
  needed = pre_stop + int(drain.partition('=')[2]) + send
  assert pod['terminationGracePeriodSeconds'] > needed


def test_selectors_match_labels():
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
  assert 'replicas' not in deployment['spec']  # Or `apply` resets it.
  notes = template['metadata']['annotations']
  port = container['ports'][0]['containerPort']
  assert notes['prometheus.io/port'] == str(port)


def test_the_image_has_all_imports_of_the_server():
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
  assert {'absl_py', 'ml_collections', 'numpy', 'hypercorn'} <= names
  assert not names & {'jax', 'flax', 'tensorflow'}
  # Each distribution that the server imports is in the list, or is a dependency
  # of one in the list.
  script = (
    'import importlib.metadata as m, json, re, sys\n'
    'import launch.serve\n'
    'from hybrid_jax.deploy.server import addresses, app\n'
    'from hybrid_jax.deploy.server import http_server, cloud_half\n'
    'from ai_edge_litert import interpreter\n'
    'owners = m.packages_distributions()\n'
    'tops = {name.split(".")[0] for name in list(sys.modules)}\n'
    'tops = {t for t in tops if t in owners and t[0] != "_"}\n'
    'used = sorted({owners[t][0] for t in tops})\n'
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
  needs.pop('hybrid_jax', None)  # The image copies it.
  installed = set(names)
  while (
    more := {n for d in installed & set(needs) for n in needs[d]} - installed
  ):
    installed |= more
  assert set(needs) <= installed, set(needs) - installed


def _plain(name):
  return re.sub('[-.]', '_', name.lower())


def test_the_image_has_a_user_and_a_health_check():
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
