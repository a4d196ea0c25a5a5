"""The attackers of `benchmarks.pytorch.study`; networks train one by one."""

import copy
import functools
import itertools
from collections.abc import Callable, Iterator

import numpy as np
import sklearn.ensemble
import sklearn.neighbors
import torch  # pyrefly: ignore[missing-import]
from torch import nn  # pyrefly: ignore[missing-import]
from torch.nn import functional  # pyrefly: ignore[missing-import]

from benchmarks.pytorch.study_problem import TRAIN, VALIDATION, Attack, Problem

_BLOCK = 512  # vectors whose distances are in memory at once

View = Callable[[np.ndarray], np.ndarray]


def majority(problem: Problem, config: dict, jobs: int) -> Iterator[Attack]:
  """Always guesses the most common class."""
  del config, jobs
  for attribute, labels in problem.sensitive.items():
    counts = np.bincount(
      labels[problem.rows(TRAIN)], minlength=int(labels.max()) + 1
    )
    log = np.log(np.maximum(counts, 1e-6) / counts.sum())
    log_probs = (
      np.broadcast_to(log, (*x.shape[:2], len(log)))
      for x in problem.scored.values()
    )
    yield Attack('majority guess', attribute, *log_probs)


def linear(problem: Problem, config: dict, jobs: int) -> Iterator[Attack]:
  """Logistic regression on each view."""
  del jobs
  yield from _heads(problem, config, (), 'linear probe')


def mlp(problem: Problem, config: dict, jobs: int) -> Iterator[Attack]:
  """Multilayer perceptrons of several widths on each view."""
  del jobs
  for widths in config['widths']:
    name = 'mlp ' + '-'.join(map(str, widths))
    yield from _heads(problem, config, tuple(widths), name)


def _heads(problem, config, widths, name):
  rng = np.random.default_rng((7, 0))
  trials = config['trials']
  rate = config['learning_rate'] * 4 ** rng.uniform(-1, 1, trials)
  decay = config['weight_decay'] * 30 ** rng.uniform(-1, 1, trials)
  width = rng.choice([0.25, 0.5, 1.0], trials)
  rate[0], decay[0] = config['learning_rate'], config['weight_decay']
  width[0] = 1.0
  train = problem.rows(TRAIN)
  for view in config['views']:
    x = torch.as_tensor(problem.see(view, problem.clean[train]))
    noise = None
    if problem.sigma:
      matrix = problem.sigma * problem.views[view][1]
      noise = torch.as_tensor(matrix.astype(np.float32))
    scored = {
      fold: torch.as_tensor(problem.see(view, s)).flatten(0, 1)
      for fold, s in problem.scored.items()
    }
    for attribute, labels in problem.sensitive.items():
      held = np.tile(labels[problem.rows(VALIDATION)], len(problem.scored[1]))
      y, held = (torch.as_tensor(a).long() for a in (labels[train], held))
      for trial in range(trials):
        torch.manual_seed(trial)
        hidden = [int(np.ceil(width[trial] * w)) for w in widths]
        model = _head([x.shape[1], *hidden, int(labels.max()) + 1])
        adamw = rate[trial], decay[trial]
        _train(model, x, y, noise, scored[VALIDATION], held, config, adamw)
        with torch.inference_mode():
          log_probs = (
            model(s).log_softmax(-1).reshape(*problem.scored[f].shape[:2], -1)
            for f, s in scored.items()
          )
          arrays = [f.cpu().numpy() for f in log_probs]
        yield Attack(f'{name}, {view}, trial {trial}', attribute, *arrays)


def _head(sizes):
  layers = []
  for a, b in itertools.pairwise(sizes):
    linear = nn.Linear(a, b)
    nn.init.kaiming_normal_(linear.weight, nonlinearity='relu')
    nn.init.zeros_(linear.bias)
    layers += [linear, nn.ReLU()]
  return nn.Sequential(*layers[:-1])


def _train(model, x, y, noise, held, held_y, config, adamw):
  """Trains with early stopping; keeps the weights best on validation."""
  rate, decay = adamw
  optimizer = torch.optim.AdamW(
    model.parameters(), rate, weight_decay=decay, fused=True
  )
  size = min(config['batch_size'], len(x))
  best_score, best, stale = -np.inf, None, 0
  for _ in range(config['max_chunks']):
    for rows in torch.randint(len(x), (config['chunk'], size)):
      batch = x[rows]
      if noise is not None:
        batch = batch + torch.randn(size, len(noise)) @ noise
      optimizer.zero_grad()
      functional.cross_entropy(model(batch), y[rows]).backward()
      optimizer.step()
    with torch.inference_mode():
      logits = model(held)
      accuracy = (logits.argmax(-1) == held_y).float().mean()
      score = accuracy - 1e-3 * functional.cross_entropy(logits, held_y)
    score = float(score)
    if score > best_score:
      best_score, best, stale = score, copy.deepcopy(model.state_dict()), 0
    else:
      stale += 1
      if stale >= config['patience']:
        break
  model.load_state_dict(best)


def knn(problem: Problem, config: dict, jobs: int) -> Iterator[Attack]:
  """K nearest neighbours among noisy training vectors, in each view."""
  copies = problem.copies(TRAIN, config['noise_copies'], 100)
  rows = np.tile(np.flatnonzero(problem.rows(TRAIN)), len(copies))
  gallery = copies.reshape(-1, copies.shape[-1])
  for view in problem.views:
    index = sklearn.neighbors.NearestNeighbors(
      n_neighbors=min(max(config['neighbours']), len(gallery)), n_jobs=jobs
    ).fit(problem.see(view, gallery))
    near = [
      rows[
        index.kneighbors(
          problem.see(view, x.reshape(-1, x.shape[-1])), return_distance=False
        )
      ].reshape(*x.shape[:2], -1)
      for x in problem.scored.values()
    ]
    for attribute, labels in problem.sensitive.items():
      classes = int(labels.max()) + 1
      for k in config['neighbours']:
        votes = (_log_votes(labels[n[..., :k]], classes) for n in near)
        yield Attack(f'{k} nearest neighbours, {view}', attribute, *votes)


def _log_votes(neighbours, classes):
  k = neighbours.shape[-1]
  weight = 1 + 1e-3 * (k - np.arange(k)) / k
  votes = [((neighbours == c) * weight).sum(-1) for c in range(classes)]
  smooth = np.stack(votes, axis=-1) + 0.5
  return np.log(smooth / smooth.sum(-1, keepdims=True))


def kde(problem: Problem, config: dict, jobs: int) -> Iterator[Attack]:
  """Kernel densities of each class, in each view and in units of the noise."""
  del jobs
  train = problem.rows(TRAIN)
  onehot = {
    attribute: functional.one_hot(torch.as_tensor(labels[train]).long())
    for attribute, labels in problem.sensitive.items()
  }
  views: list[tuple[str, View, list[float], bool]] = [
    (name, functools.partial(problem.see, name), config['bandwidths'], False)
    for name in problem.views
  ]
  if problem.sigma:
    sigma, multiples = np.float32(problem.sigma), [1, 1.1, 1.25, 1.5]
    views.append(('in units of noise', lambda x: x / sigma, multiples, True))
  for name, view, bandwidths, absolute in views:
    gallery = torch.as_tensor(view(problem.clean[train]))
    unit = 1.0 if absolute else _spacing(gallery)
    densities = [
      _densities(
        torch.as_tensor(view(x)).flatten(0, 1),
        gallery,
        torch.cat(list(onehot.values()), 1).float(),
        [0.5 / (b * unit) ** 2 for b in bandwidths],
      ).reshape(len(bandwidths), *x.shape[:2], -1)
      for x in problem.scored.values()
    ]
    borders = np.cumsum([0, *(o.shape[1] for o in onehot.values())])
    for j, bandwidth in enumerate(bandwidths):
      for i, attribute in enumerate(onehot):
        columns = slice(borders[i], borders[i + 1])
        yield Attack(
          f'kernel density {bandwidth:g}, {name}',
          attribute,
          *(f[j][..., columns] for f in densities),
        )


def _spacing(gallery):
  probes = gallery[:: max(1, len(gallery) // 500)]
  second = torch.cdist(probes, gallery).topk(2, largest=False).values[:, 1]
  return max(float(second.quantile(0.5)), 1e-6)


@torch.inference_mode()
def _densities(x, gallery, onehot, sharpness):
  """Returns log-densities `[bandwidths, n, classes]` of `x [n, d]`."""
  out = []
  norms = gallery.square().sum(1)
  for block in x.split(_BLOCK):
    # Without the block's norms, which the subtraction of the minimum removes.
    squared = torch.addmm(norms, block, gallery.T, alpha=-2)
    squared -= squared.amin(1, keepdim=True)
    each = [torch.mul(squared, -s).exp_() @ onehot for s in sharpness]
    out.append((torch.stack(each) / len(gallery) + 1e-12).log())
  return torch.cat(out, 1).cpu().numpy()


def trees(problem: Problem, config: dict, jobs: int) -> Iterator[Attack]:
  """Extra trees on noisy copies of the standardised vectors."""
  copies = problem.copies(TRAIN, config['noise_copies'], 200)
  x = problem.see('standardised', copies.reshape(-1, copies.shape[-1]))
  scored = [problem.see('standardised', s) for s in problem.scored.values()]
  for attribute, labels in problem.sensitive.items():
    y = np.tile(labels[problem.rows(TRAIN)], len(copies))
    for leaf in config['leaves']:
      forest = sklearn.ensemble.ExtraTreesClassifier(
        config['count'],
        min_samples_leaf=leaf * len(copies),
        n_jobs=jobs,
        random_state=0,
      ).fit(x, y)
      shares = (
        forest.predict_proba(s.reshape(-1, s.shape[-1])).reshape(
          *s.shape[:2], -1
        )
        for s in scored
      )
      logs = [np.log(s + 1e-3) for s in shares]
      yield Attack(f'extra trees, leaf {leaf}', attribute, *logs)


ALL = {
  'majority': majority,
  'linear': linear,
  'mlp': mlp,
  'knn': knn,
  'kde': kde,
  'trees': trees,
}
