import dataclasses

import jax
import ml_collections
import numpy as np
import pytest

from hybrid_jax.training import heads

_N, _HELD, _TEST = 600, 400, 3000


# Tests with one shape and one config share a compilation.
def _config(**more):
  return ml_collections.ConfigDict(
    {
      'batch_size': 64,
      'chunk': 40,
      'max_chunks': 6,
      'patience': 2,
    }
    | more
  )


def _draw(n, seed, leak, dim=5):
  """Features, and labels of 3 and of 2 classes, which a `leak` shows."""
  rng = np.random.default_rng(seed)
  labels = np.stack([rng.integers(0, 3, n), rng.integers(0, 2, n)])
  x = rng.standard_normal((n, dim)).astype(np.float32)
  if leak:
    # Linearly separable, 8 standard deviations apart.
    x[:, 1] += 8 * (labels[0] == 1)
    x[:, 2] += 8 * (labels[0] == 2)
    x[:, 3] += 8 * labels[1]
  return x, labels


def _data(leak, noise=None):
  x, labels = _draw(_N, 0, leak)
  held, held_labels = _draw(_HELD, 1, leak)
  return heads.Data(
    train=x[None],
    noise=noise,
    train_label=labels,
    validation=held[None],
    validation_label=held_labels,
    class_mask=np.array([[True, True, True], [True, True, False]]),
  )


def _accuracies(params, data, settings, leak):
  x, labels = _draw(_TEST, 2, leak)
  found = heads.log_probs(
    params, x[None], settings.view, data.class_mask[settings.label]
  )
  return (found.argmax(-1) == labels[settings.label]).mean(axis=1)


def _settings(labels, seeds):
  count = len(seeds)
  return heads.HeadSettings(
    view=np.zeros(count, int),
    label=np.array(labels),
    seed=np.array(seeds),
    rate=np.full(count, 1e-2),
    decay=np.full(count, 1e-3),
    width=np.ones(count),
  )


BOTH = _settings([0, 0, 1, 1], [0, 1, 0, 1])


@pytest.mark.parametrize('widths', [(), (16,)], ids=['linear', 'hidden'])
def test_noise_is_at_chance_and_a_leak_is_found(widths):
  noise, leak = _data(leak=False), _data(leak=True)
  params, _ = heads.train(noise, BOTH, widths, _config())
  # One standard deviation of 3000 guesses is 0.9 points.
  np.testing.assert_allclose(
    _accuracies(params, noise, BOTH, leak=False),
    [1 / 3, 1 / 3, 1 / 2, 1 / 2],
    atol=0.05,
  )
  params, _ = heads.train(leak, BOTH, widths, _config())
  assert _accuracies(params, leak, BOTH, leak=True).min() >= 0.95


def test_equal_seeds_are_identical_and_others_are_not():
  params, _ = heads.train(
    _data(False), _settings([0] * 4, [7, 7, 8, 7]), (), _config()
  )
  assert len(params) == 1
  for leaf in params[0]:
    np.testing.assert_array_equal(leaf[0], leaf[1])
    np.testing.assert_array_equal(leaf[0], leaf[3])
    assert np.abs(leaf[0] - leaf[2]).max() > 1e-3


def test_classes_that_a_label_lacks_are_never_predicted():
  data = _data(leak=False)
  params, _ = heads.train(data, BOTH, (), _config())
  x = 100 * np.random.default_rng(3).standard_normal((1, 500, 5))
  found = heads.log_probs(params, x, BOTH.view, data.class_mask[BOTH.label])
  assert found.shape == (4, 500, 3)
  assert (found[:2].argmax(-1) == 2).any()
  assert found[2:, :, 2].max() <= -1e8
  # The rest is a distribution over the classes of the label.
  np.testing.assert_allclose(np.exp(found).sum(-1), 1, rtol=1e-4)
  np.testing.assert_allclose(np.exp(found[2:, :, :2]).sum(-1), 1, rtol=1e-4)


def test_layers_have_common_widths_and_outputs_their_own():
  data = _data(leak=True)
  params, _ = heads.train(data, BOTH, (16,), _config())
  assert [w.shape for w, _ in params] == [(4, 8, 16), (4, 16, 16)]
  found = heads.log_probs(
    params, data.validation, BOTH.view, data.class_mask[BOTH.label]
  )
  assert found.shape == (4, _HELD, 3)


def test_more_capacity_changes_nothing():
  data = _data(leak=False, noise=np.eye(5, dtype=np.float32)[None])
  few, more = (
    heads.train(
      dataclasses.replace(data, capacity=capacity), BOTH, (16,), _config()
    )
    for capacity in ((0, 0), (2000, 1500))
  )
  jax.tree.map(np.testing.assert_array_equal, few, more)


def test_wide_noise_is_narrowed_to_noise_of_the_same_law():
  noise = np.random.default_rng(0).standard_normal((2, 3, 7))
  narrow = heads.narrow(noise)
  assert narrow.shape == (2, 3, 3)
  np.testing.assert_allclose(
    narrow @ narrow.swapaxes(1, 2), noise @ noise.swapaxes(1, 2)
  )
  assert heads.narrow(noise[:, :, :3]).shape == (2, 3, 3)


def test_eight_devices_give_the_results_of_one():
  # Devices cannot share eleven heads evenly. Without a leak some heads
  # stop improving and improve again, while others on other devices continue.
  settings = _settings([0] * 6 + [1] * 5, range(11))
  one, eight = (
    heads.train(
      _data(leak=False),
      settings,
      (),
      _config(patience=1),
      jax.local_devices()[:count],
    )
    for count in (1, 8)
  )
  assert one[0][0][0].shape == (11, 8, 16)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def test_a_head_does_not_depend_on_its_group():
  # On one CPU each is in another group, and at another place in it.
  data, config = _data(leak=False), _config(max_chunks=1)
  device = jax.local_devices()[:1]
  assert heads.group_size('cpu') < 7 < heads.group_size('gpu')
  (many, _), (one, _) = (
    heads.train(data, _settings([0] * len(s), s), (), config, device)
    for s in (range(7), [6])
  )
  for a, b in zip(jax.tree.leaves(many), jax.tree.leaves(one), strict=True):
    assert len(a) == 7
    np.testing.assert_array_equal(a[6:], b)


def _validation_scores(data, settings, chunks):
  """The score that training selects by: accuracy, minus a little loss."""
  params, _ = heads.train(data, settings, (), _config(max_chunks=chunks))
  logits = heads.log_probs(
    params, data.validation, settings.view, data.class_mask[settings.label]
  )
  truth = data.validation_label[0]
  loss = -logits[:, np.arange(_HELD), truth].mean(axis=1)
  return (logits.argmax(-1) == truth).mean(axis=1) - 1e-3 * loss


def test_each_head_keeps_its_best_parameters():
  settings = _settings([0] * 4, [0, 1, 2, 3])
  good = _data(leak=True)
  # The more it learns from these, the worse it is on validation.
  wrong = good.validation_label.copy()
  wrong[0] = (wrong[0] + 1) % 3
  bad = dataclasses.replace(good, validation_label=wrong)
  few, many = (_validation_scores(bad, settings, n) for n in (1, 6))
  np.testing.assert_allclose(many, few, atol=1e-6)
  few, many = (_validation_scores(good, settings, n) for n in (1, 6))
  assert (many - few).min() > 1e-3


def test_fresh_noise_in_training():
  leak = _data(leak=True)
  # Noise on features 1 and 2 only: it hides label 0, and not label 1.
  scale = np.zeros((1, 5, 5), np.float32)
  scale[0, 1, 1] = scale[0, 2, 2] = 1e3
  rng = np.random.default_rng(4)
  held = leak.validation + rng.standard_normal(leak.validation.shape) @ scale
  noisy = dataclasses.replace(
    leak, noise=scale, validation=held.astype(np.float32)
  )
  clean, _ = heads.train(leak, BOTH, (), _config())
  buried, _ = heads.train(noisy, BOTH, (), _config())
  assert _accuracies(clean, leak, BOTH, leak=True)[:2].min() >= 0.95
  # The head learned that features 1 and 2 do not tell classes apart.
  kernel = np.asarray(buried[0][0])
  drowned = np.ptp(kernel[:2, 1:3, :3], axis=-1)
  heard = np.ptp(kernel[2:, 3, :2], axis=-1)
  assert drowned.max() < 0.1 * heard.min()
