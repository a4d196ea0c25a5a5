"""The stages of the PyTorch study: training and release."""

import copy
import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np
import sklearn.cluster
import torch  # pyrefly: ignore[missing-import]
from torch.nn import functional  # pyrefly: ignore[missing-import]

from benchmarks.pytorch import study_networks
from benchmarks.pytorch.study_problem import TEST, TRAIN, VALIDATION
from hybrid_jax.metrics import utility


@dataclasses.dataclass
class Released:
  """Released vectors of an embedding at a split point, and the cloud half."""

  clean: np.ndarray
  sigma: float  # standard deviation of the noise; 0 for none
  inverse: Any
  network: study_networks.Network
  split_point: str
  utility: dict[str, float] = dataclasses.field(default_factory=dict)


class Study:
  """The data and the trained networks."""

  def __init__(self, path: pathlib.Path, config: dict[str, Any]):
    """Reads and normalizes the data; `config` is that of `launch.study`."""
    self.config = config
    with np.load(path, allow_pickle=False) as arrays:
      data = dict(arrays)
    self.primary, self.fold = data['primary'], data['fold']
    self.recording = data['recording']
    self.sensitive = {
      name.removeprefix('sensitive_'): labels
      for name, labels in data.items()
      if name.startswith('sensitive_')
    }
    train = data['x'][self.fold == TRAIN]
    mean = train.mean(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
    std = train.std(axis=(0, 1, 2), dtype=np.float64).astype(np.float32)
    x = (data['x'] - mean) / np.where(std > 0, std, 1)
    # `[n, channels, 1, time]` in the channels-last layout.
    self.x = torch.as_tensor(x).permute(0, 3, 1, 2)
    self.y = torch.as_tensor(self.primary).long()
    self.classes = int(self.primary.max()) + 1
    self.train, self.held = (
      torch.as_tensor(np.flatnonzero(self.fold == f))
      for f in (TRAIN, VALIDATION)
    )
    self.batches = self.x[self.train], self.y[self.train]
    self.simple: Any = None
    self.siamese: dict[str, Any] = {}
    self.bounded: dict[str, Any] = {}
    self.released: dict[str, Released] = {}

  def at(self, value: Any, split_point: str) -> Any:
    """Returns a setting at a split point; it may differ between them."""
    return value[split_point] if isinstance(value, dict) else value

  def accuracy(self, network: Any) -> float:
    """Returns the accuracy of the primary task on validation."""
    classes = study_networks.in_blocks(network, self.x[self.held]).argmax(-1)
    return float((classes == self.primary[self.fold == VALIDATION]).mean())

  def features(self, network: Any, split_point: str) -> np.ndarray:
    """Returns the features of all examples, `[n, size]`."""
    return study_networks.in_blocks(
      functools.partial(network.edge, split_point=split_point), self.x
    )


def train(study: Study) -> None:
  """Trains the whole network for the primary task."""
  torch.manual_seed(study.config['seed'])
  study.simple = study_networks.Network(
    study.x[:1], study.classes, study.config['model']['options']
  )
  study_networks.fit(
    lambda x, y: functional.cross_entropy(study.simple(x), y),
    study.simple.parameters(),
    study.batches,
    study.config['training'],
    functools.partial(study.accuracy, study.simple),
  )


def siamese(study: Study) -> None:
  """Fine-tunes the network with the contrastive loss at every split point."""
  settings = study.config['siamese']
  for point in study.config['model']['split_points']:
    network = study.siamese[point] = copy.deepcopy(study.simple)
    weight, margin, balance = (
      study.at(settings[name], point)
      for name in ('weight', 'margin', 'balance_pairs')
    )
    study_networks.fit(
      functools.partial(_siamese, network, point, weight, margin, balance),
      network.parameters(),
      study.batches,
      settings,
      functools.partial(study.accuracy, network),
    )


def _siamese(network, point, weight, margin, balance, x, y):
  features = network.edge(x, point)
  task = functional.cross_entropy(network.cloud(features, point), y)
  pairs = study_networks.contrastive(features, y, margin, balance)
  return task + 0.5 * weight * pairs


def defend(study: Study) -> None:
  """Trains a bottleneck with noise, first without the penalty on bits."""
  config = study.config
  points = {
    point
    for embedding in config['release']['embeddings'].values()
    if embedding['weights'] == 'bounded'
    for point in embedding['split_points']
  }
  for point in sorted(points):
    network = copy.deepcopy(study.simple)
    bottleneck = study_networks.Bottleneck(
      study.features(network, point)[study.fold == TRAIN],
      study.at(config['release']['bottleneck_dim'], point),
      study.at(config['release']['limit'], point),
    )
    settings = config['defend']
    weight = study.at(settings['bounded']['weight'], point)
    _defend(study, network, bottleneck, point, 0.0, settings['warm_steps'])
    _defend(study, network, bottleneck, point, weight, settings['steps'])
    study.bounded[point] = network, bottleneck


def _defend(study, network, bottleneck, point, weight, steps):
  settings = study.config['defend']
  draws = settings['noise_draws']

  def loss(x, y):
    gain = torch.randn(len(x), x.shape[1], 1, 1)
    features = network.edge(x * (1 + settings['gain'] * gain), point)
    clean = bottleneck(features)
    noisy = clean + torch.randn(draws, *clean.shape)
    logits = network.cloud(bottleneck.inverse(noisy.flatten(0, 1)), point)
    value = functional.cross_entropy(logits, y.repeat(draws))
    if weight:
      bits = study_networks.gaussian_bits(clean, y, study.classes)
      value = value + weight * bits
    return value

  def answer(x):
    sent = bottleneck(network.edge(x, point))
    noisy = sent + torch.randn_like(sent)
    return network.cloud(bottleneck.inverse(noisy), point)

  def evaluate():
    answers = study_networks.in_blocks(answer, study.x[study.held]).argmax(-1)
    truth = study.primary[study.fold == VALIDATION]
    return float((answers == truth).mean())

  study_networks.fit(
    loss,
    [*network.parameters(), *bottleneck.parameters()],
    study.batches,
    settings | {'steps': steps, 'every': min(steps, settings['every'])},
    evaluate,
  )


def release(study: Study) -> None:
  """Releases every embedding at every split point, with its utility."""
  config = study.config
  for point in config['model']['split_points']:
    for name, embedding in config['release']['embeddings'].items():
      if point in embedding.get('split_points', [point]):
        released = _release(study, point, embedding)
        released.utility = _utility(study, released)
        study.released[f'{point}-{name}'] = released


def _release(study, point, embedding):
  mechanisms, weights = embedding['mechanisms'], embedding['weights']
  settings = study.config['release']
  bottleneck = None
  if weights == 'bounded':
    network, bottleneck = study.bounded[point]
  else:
    network = study.siamese[point] if weights == 'siamese' else study.simple
  z = study.features(network, point)
  fitted = study.fold == TRAIN
  sigma, inverse = 0.0, _identity
  if bottleneck is not None:
    z = study_networks.in_blocks(bottleneck, torch.as_tensor(z))
    inverse = bottleneck.inverse
  if 'pca' in mechanisms:
    dim = study.at(settings['reduced_dim'], point)
    mean, components = study_networks.principal_components(z[fitted], dim)
    z = (z - mean) @ components.T
    inverse = functools.partial(
      torch.addmm, torch.as_tensor(mean), mat2=torch.as_tensor(components)
    )
  if 'snap' in mechanisms:
    z = _snap(z, z[fitted], settings['prototypes'], settings['sharpness'])
  if 'noise' in mechanisms:
    deviation = np.sqrt(np.square(z[fitted] - z[fitted].mean(0)).mean())
    sigma = float(study.at(settings['noise'], point) * deviation)
  elif 'unit_noise' in mechanisms:
    sigma = 1.0
  return Released(z, sigma, inverse, network, point)


def _identity(released):
  return released


def _snap(z, train, prototypes, sharpness):
  """Moves vectors towards the nearest centre of k-means: `[n, d]`."""
  means = sklearn.cluster.KMeans(prototypes, n_init=10, random_state=0)
  centres = means.fit(train.astype(np.float64)).cluster_centers_
  centres = torch.as_tensor(centres).float()
  scores = torch.as_tensor(z) @ centres.T - 0.5 * centres.square().sum(1)
  return ((sharpness * scores).softmax(-1) @ centres).cpu().numpy()


def _utility(study, released):
  out, draws = {}, study.config['attack']['draws'] if released.sigma else 1
  for name, fold in (('validation', VALIDATION), ('test', TEST)):
    rows = study.fold == fold
    clean = torch.as_tensor(released.clean[rows])
    noisy = clean + released.sigma * torch.randn(draws, *clean.shape)
    logits = study_networks.in_blocks(
      lambda x: released.network.cloud(
        released.inverse(x), released.split_point
      ),
      noisy.flatten(0, 1),
    )
    out[name] = utility.measure(
      logits.reshape(draws, len(clean), -1),
      study.primary[rows],
      study.recording[rows],
    )
  return out
