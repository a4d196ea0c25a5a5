"""Attackers that see a set of windows: statistics of its released vectors.

Adding up log-probabilities takes windows as independent. What a set shows as a
whole, such as how far its vectors spread, is in statistics of the set. They are
the vectors of another attack problem, which the usual adversaries attack.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np

from hybrid_jax import plugins
from hybrid_jax.attacks import adversary
from hybrid_jax.datasets import dataset, padding
from hybrid_jax.metrics import attack_accuracy, distances

OPTIONS = {
  'counts': plugins.Option(
    (4, 8, 16, 32, 64),
    'Numbers of windows of a set, of those in windows.',
    low=2,
  ),
  'adversaries': plugins.Option(
    ('discriminant',),
    'Adversaries that attack sets of windows; none for no such attack.',
    plugin='adversary',
  ),
  'recording_adversaries': plugins.Option(
    ('discriminant', 'trees'),
    'Adversaries that attack recordings as sets; none for no such attack.',
    plugin='adversary',
  ),
}

# All problems have so many labelled sets, whatever the number of windows, so
# that they share their programs. The others learn in one of the two rounds.
_LEARNT, _OTHERS = 2000, 48
_HELD = 2048  # sets of validation at most
_COPIES = 16  # of the noise of a window that sets are drawn from
_SMALLEST_SHARE = 0.25  # of a recording
_MOST = 512  # numbers of `_Statistics.answers`


@dataclasses.dataclass(frozen=True)
class SetProblem(adversary.Problem):
  """Sets of windows to attack; `clean` has their statistics, with noise."""

  @property
  def train_capacity(self) -> int:
    """Number of rows to which training arrays are padded."""
    return padding.rows(_LEARNT + _OTHERS)

  @property
  def evaluation_capacity(self) -> int:
    """Number of rows to which arrays of validation are padded."""
    return padding.rows(_HELD)


@dataclasses.dataclass(frozen=True)
class Choice:
  """Attack on sets that did best on validation.

  Attributes:
    members: pairs of the name of the statistics and the attack that sees them;
      several are a committee, the mean of their probabilities. It is empty if
      no adversary yields an attack.
    score: the accuracy on the sets of validation.
  """

  members: Sequence[tuple[str, adversary.Attack]]
  score: float

  @property
  def name(self) -> str:
    """The name in reports."""
    if len(self.members) > 1:
      return f'committee of {len(self.members)} attackers of sets'
    ((statistics, attack),) = self.members
    return f'{attack.adversary}, {statistics} of sets'


class Attacker:
  """Attacks the sets of windows of one problem."""

  def __init__(
    self,
    problem: adversary.Problem,
    settings: Mapping[str, ml_collections.ConfigDict],
    seed: int,
  ):
    """Prepares the windows; the statistics are fitted where they are used.

    Args:
      problem: the windows.
      settings: of each adversary.
      seed: for the sets that attackers learn from, and for all attackers.
    """
    self._settings, self._seed = settings, seed
    self._rounds = {False: problem, True: problem.relearn(())}
    self._statistics: dict[bool, _Statistics] = {}
    self._values: dict[tuple[bool, int], np.ndarray] = {}

  def choose(
    self,
    attribute: str,
    group: str,
    count: int,
    sets: attack_accuracy.Sets,
    kinds: Sequence[str],
  ) -> Choice:
    """Attacks sets, and returns the attack that is best on validation.

    Args:
      attribute: the sensitive label.
      group: `'recording'`, or `'class'` for windows of one class of the label.
      count: the number of windows of a set; 0 for parts of recordings, of all
        sizes.
      sets: sets of the evaluation draws of validation; a sample is attacked.
      kinds: names of adversaries, one or more.
    """
    rng = np.random.default_rng(self._seed)
    sets = sets.take(rng.permutation(len(sets.sizes))[:_HELD])
    problems = self._problems(
      attribute, group, count, dataset.VALIDATION, sets, again=False
    )
    best: dict[tuple[str, str], Choice] = {}
    shares = {}
    for statistics, problem in problems.items():
      rows = problem.rows(dataset.VALIDATION)
      labels = problem.sensitive[attribute][rows]
      for kind in kinds:
        module = plugins.load('adversary', kind)
        for attack in module.attack(problem, self._settings[kind], self._seed):
          attack = dataclasses.replace(attack, kind=kind)
          share = self._shares(attack, 'validation')
          score = float((share.argmax(axis=-1) == labels).mean())
          key = kind, statistics
          if key not in best or score > best[key].score:
            best[key] = Choice([(statistics, attack)], score)
            shares[key] = share
    if not best:  # An adversary need not yield an attack.
      return Choice([], 0.0)
    together = np.sum(list(shares.values()), axis=0)
    score = float((together.argmax(axis=-1) == labels).mean())
    members = [choice.members[0] for choice in best.values()]
    return max(
      [*best.values(), Choice(members, score)], key=lambda choice: choice.score
    )

  def _shares(self, attack, fold):
    """Probabilities of the classes `[n, k]` of an attack on sets."""
    from scipy import special  # Imported here: it is slow.

    labels = self._rounds[False].sensitive[attack.attribute]
    logs = getattr(attack, fold)[0]
    k = int(labels.max()) + 1
    logs = attack_accuracy.class_log_probs(logs, attack.columns, k)
    missing = ((0, 0), (0, k - logs.shape[-1]))
    return np.pad(special.softmax(logs, axis=-1), missing)

  def test(
    self,
    attribute: str,
    group: str,
    count: int,
    sets: attack_accuracy.Sets,
    choice: Choice,
    again: bool,
  ) -> tuple[np.ndarray, np.ndarray]:
    """Scores a chosen attack on sets of the test fold.

    Args:
      attribute: see `choose`.
      group: see `choose`.
      count: see `choose`.
      sets: sets of the evaluation draws of the test fold.
      choice: what `choose` returned.
      again: whether it first learns again, on training and validation.

    Returns:
      The share of correct sets of each group, and its label, `[groups]`.
    """
    problems = self._problems(
      attribute, group, count, dataset.TEST, sets, again
    )
    shares = []
    for statistics, attack in choice.members:
      module = plugins.load('adversary', attack.kind)
      problem = problems[statistics].relearn([attack])
      settings = self._settings[attack.kind]
      (learnt,) = module.attack(problem, settings, self._seed)
      shares.append(self._shares(learnt, 'test'))
    problem = problems[choice.members[0][0]]
    rows = problem.rows(dataset.TEST)
    labels = problem.sensitive[attribute][rows]
    correct = np.sum(shares, axis=0).argmax(axis=-1) == labels
    _, first, index, sizes = np.unique(
      problem.recording[rows],
      return_index=True,
      return_inverse=True,
      return_counts=True,
    )
    return np.bincount(index, correct) / sizes, labels[first]

  def _problems(self, attribute, group, count, fold, sets, again):
    """Problems of sets of one fold, and of sets to learn from.

    Returns:
      The name of the statistics to a problem with these.
    """
    base = self._rounds[again]
    rng = np.random.default_rng((300, self._seed, count))
    learnt = _Windows(base, attribute, group, dataset.TRAIN)
    held = _Windows(base, attribute, group, fold)
    if again not in self._statistics:
      self._statistics[again] = _Statistics(base)
    of_sets = self._statistics[again].of_sets
    values = self._values_of(again, dataset.TRAIN)
    copies = len(values) // int(base.rows(dataset.TRAIN).sum())
    drawn = learnt.draw(copies, count, _LEARNT + _OTHERS, rng)
    statistics = zip(
      of_sets(values, drawn).items(),
      of_sets(self._values_of(again, fold), sets).values(),
      strict=True,
    )
    labels = np.concatenate([learnt.labels(drawn), held.labels(sets)])
    groups = np.concatenate([learnt.groups(drawn), held.groups(sets)])
    other = dataset.VALIDATION if fold == dataset.TEST else dataset.TEST
    folds = np.repeat(
      np.array([dataset.TRAIN, other, fold], np.int8),
      [_LEARNT, _OTHERS, len(sets.sizes)],
    )
    return {
      name: SetProblem(
        clean=np.concatenate([of_drawn, of_held]),
        noise_scale=None,
        # The view `within` is that of the label.
        primary=labels,
        sensitive={attribute: labels},
        recording=groups,
        fold=folds,
        draws=1,
      )
      for (name, of_drawn), of_held in statistics
    }

  def _values_of(self, again, fold):
    """What the statistics of sets are means of, for each window of a fold."""
    if (again, fold) not in self._values:
      base = self._rounds[again]
      released = (
        base.copies(fold, _COPIES, 300 + self._seed)
        if fold == dataset.TRAIN
        else base.evaluation_draws[fold]
      )
      self._values[again, fold] = self._statistics[again].of_windows(released)
    return self._values[again, fold]


class _Windows:
  """Windows of one fold, which are drawn into sets."""

  def __init__(self, problem, attribute, group, fold):
    rows = problem.rows(fold)
    self._label = problem.sensitive[attribute][rows]
    self._group = self._label
    if group == 'recording':
      self._group = problem.recording[rows]

  def draw(
    self, draws: int, count: int, number: int, rng: np.random.Generator
  ) -> attack_accuracy.Sets:
    """Draws sets of `count` windows, equally many of each group.

    Groups of fewer windows are used only if all are so small.
    """
    n = len(self._group)
    groups = [np.flatnonzero(self._group == g) for g in np.unique(self._group)]
    groups = [rows for rows in groups if len(rows) >= count] or groups
    sets = []
    for rows, times in zip(
      groups, np.bincount(np.arange(number) % len(groups)), strict=False
    ):
      keys = rng.random((times, len(rows)))
      # A part of them need not be sorted.
      order = (
        keys.argpartition(count - 1, axis=1)
        if 0 < count < len(rows)
        else keys.argsort(axis=1)
      )
      first = n * rng.integers(draws, size=times)
      sizes = np.full(times, count)
      if not count:
        sizes = np.ceil(rng.uniform(_SMALLEST_SHARE, 1, times) * len(rows))
      sets += [
        rows[o[:size]] + start
        for o, size, start in zip(order, sizes.astype(int), first, strict=True)
      ]
    sets = [sets[i] for i in rng.permutation(number)]
    starts = np.cumsum([0, *map(len, sets)])
    return attack_accuracy.Sets(np.concatenate(sets), starts)

  def labels(self, sets: attack_accuracy.Sets) -> np.ndarray:
    """Returns the label of each set, that of its first window."""
    return self._label[sets.rows[sets.starts[:-1]] % len(self._label)]

  def groups(self, sets: attack_accuracy.Sets) -> np.ndarray:
    """Returns the group of each set."""
    return self._group[sets.rows[sets.starts[:-1]] % len(self._group)]


class _Statistics:
  """Statistics of sets of released vectors.

  `spread` has the mean and the standard deviation of each number, and the same
  of what is left of it when the mean of the nearest primary class is
  subtracted. `answers` has the share of windows that are nearest to each
  primary class, and the mean of what is left of these, times the share. Where
  each class has one Gaussian law, that is the Fisher vector of the shares and
  the means: F. Perronnin and C. Dance, CVPR 2007.
  """

  def __init__(self, problem: adversary.Problem):
    self._view = problem.views['within']
    train = problem.rows(dataset.TRAIN)
    z, primary = self._view(problem.clean[train]), problem.primary[train]
    self._centres = np.stack(
      [z[primary == y].mean(axis=0) for y in np.unique(primary)]
    )

  def of_windows(self, released: np.ndarray) -> np.ndarray:
    """Returns the values of each window: `[draws, n, d]` to `[draws * n, v]`.

    Sets have statistics of their means.
    """
    z = self._view(released.reshape(-1, released.shape[-1]))
    nearest = distances.squared(z, self._centres).argmin(axis=1)
    rest = z - self._centres[nearest]
    squares = np.square([z, rest], dtype=np.float64)
    values = [z, rest, *squares]
    classes, d = self._centres.shape
    if classes * d <= _MOST:
      onehot = np.eye(classes, dtype=np.float32)[nearest]
      by_class = onehot[:, :, None] * rest[:, None]
      values += [onehot, by_class.reshape(len(z), -1)]
    return np.concatenate(values, axis=1, dtype=np.float64)

  def of_sets(
    self, values: np.ndarray, sets: attack_accuracy.Sets
  ) -> dict[str, np.ndarray]:
    """Returns the name of the statistics to `[sets, s]`, float32.

    Args:
      values: see `of_windows`.
      sets: sets of its rows.
    """
    width = 2 * self._centres.shape[1]
    mean = (sets.sums(values) / sets.sizes[:, None]).astype(np.float64)
    first, square = mean[:, :width], mean[:, width : 2 * width]
    std = np.sqrt(np.maximum(square - np.square(first), 0))
    spread = np.concatenate([first, std], axis=1, dtype=np.float32)
    answers = mean[:, 2 * width :].astype(np.float32)
    if not answers.size:
      return {'spread': spread}
    return {'answers': answers, 'spread': spread}
