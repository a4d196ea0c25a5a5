import dataclasses

import jax
import jax.numpy as jnp
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


def _data(leak, noise=None, pad=heads.pad, dim=5):
  x, labels = _draw(_N, 0, leak, dim)
  held, held_labels = _draw(_HELD, 1, leak, dim)
  return heads.Data(
    train=jnp.asarray(pad(x[None])),
    noise=noise,
    train_label=jnp.asarray(labels),
    validation=jnp.asarray(pad(held[None])),
    validation_label=jnp.asarray(held_labels),
    class_mask=jnp.array([[True, True, True], [True, True, False]]),
  )


def _accuracies(params, data, settings, leak):
  x, labels = _draw(_TEST, 2, leak)
  found = heads.log_probs(
    params,
    jnp.asarray(heads.pad(x[None])),
    jnp.asarray(settings.view),
    data.class_mask[settings.label],
  )
  return (np.asarray(found).argmax(-1) == labels[settings.label]).mean(axis=1)


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
  x = 100 * np.random.default_rng(3).standard_normal((1, 500, 8))
  found = np.asarray(
    heads.log_probs(
      params,
      jnp.asarray(x),
      jnp.asarray(BOTH.view),
      data.class_mask[BOTH.label],
    )
  )
  assert found.shape == (4, 500, 3)
  assert (found[:2].argmax(-1) == 2).any()
  assert found[2:, :, 2].max() <= -1e8
  # The rest is a distribution over the classes of the label.
  np.testing.assert_allclose(np.exp(found).sum(-1), 1, rtol=1e-4)
  np.testing.assert_allclose(np.exp(found[2:, :, :2]).sum(-1), 1, rtol=1e-4)


def test_pad_goes_up_to_the_next_common_width():
  x = np.arange(10.0).reshape(2, 5)
  wide = heads.pad(x)
  np.testing.assert_array_equal(wide[:, :5], x)
  assert wide.shape == (2, 8)
  assert wide.sum() == x.sum()
  sizes = [
    heads.pad(np.ones((1, d))).shape[1] for d in (1, 8, 9, 64, 65, 128, 129)
  ]
  assert sizes == [8, 8, 16, 64, 128, 128, 129]
  assert heads.pad(np.ones((3, 5, 9)), (-2, -1)).shape == (3, 8, 16)


def test_padding_changes_no_shape_of_an_output():
  for pad, width in ((heads.pad, 8), (lambda a: a, 5)):
    data = _data(leak=True, pad=pad)
    params, _ = heads.train(data, BOTH, (16,), _config())
    found = heads.log_probs(
      params,
      data.validation,
      jnp.asarray(BOTH.view),
      data.class_mask[BOTH.label],
    )
    assert params[0][0].shape == (4, width, 16)
    assert found.shape == (4, _HELD, 3)


def test_eight_devices_give_the_results_of_one():
  # Eight devices cannot share eleven heads evenly. Without a leak some heads
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
  assert one[0][0].shape == (11, 8, 3)
  for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


def test_groups_of_heads_train_as_all_at_once():
  # 37 heads are three groups on one CPU, and 13 of them are one.
  data, config = _data(leak=False), _config(max_chunks=1)
  device = jax.local_devices()[:1]
  many, few = (
    heads.train(data, _settings([0] * n, range(n)), (), config, device)
    for n in (37, 13)
  )
  assert heads.groups_on('cpu', 37) == 3
  assert heads.groups_on('cpu', 13) == heads.groups_on('gpu', 37) == 1
  for a, b in zip(jax.tree.leaves(many), jax.tree.leaves(few), strict=True):
    assert len(a) == 37
    np.testing.assert_allclose(a[:13], b, rtol=0, atol=1e-5)


def _validation_scores(data, settings, chunks):
  """The score that training selects by: accuracy, minus a little loss."""
  params, _ = heads.train(data, settings, (), _config(max_chunks=chunks))
  logits = np.asarray(
    heads.log_probs(
      params,
      data.validation,
      jnp.asarray(settings.view),
      data.class_mask[settings.label],
    )
  )
  truth = np.asarray(data.validation_label[0])
  loss = -logits[:, np.arange(_HELD), truth].mean(axis=1)
  return (logits.argmax(-1) == truth).mean(axis=1) - 1e-3 * loss


def test_each_head_keeps_its_best_parameters():
  settings = _settings([0] * 4, [0, 1, 2, 3])
  good = _data(leak=True)
  # The more it learns from these, the worse it is on validation.
  bad = dataclasses.replace(
    good,
    validation_label=good.validation_label.at[0].set(
      (good.validation_label[0] + 1) % 3
    ),
  )
  few, many = (_validation_scores(bad, settings, n) for n in (1, 6))
  np.testing.assert_allclose(many, few, atol=1e-6)
  few, many = (_validation_scores(good, settings, n) for n in (1, 6))
  assert (many - few).min() > 1e-3


def test_fresh_noise_in_training():
  leak = _data(leak=True)
  # Noise on features 1 and 2 only: it hides label 0, and not label 1.
  scale = np.zeros((1, 8, 8), np.float32)
  scale[0, 1, 1] = scale[0, 2, 2] = 1e3
  noisy = _data(leak=True, noise=jnp.asarray(scale))
  clean, _ = heads.train(leak, BOTH, (), _config())
  buried, _ = heads.train(noisy, BOTH, (), _config())
  assert _accuracies(clean, leak, BOTH, leak=True)[:2].min() >= 0.95
  # The head learned that features 1 and 2 do not tell classes apart.
  kernel = np.asarray(buried[0][0])
  drowned = np.ptp(kernel[:2, 1:3], axis=-1)
  heard = np.ptp(kernel[2:, 3, :2], axis=-1)
  assert drowned.max() < 0.1 * heard.min()
