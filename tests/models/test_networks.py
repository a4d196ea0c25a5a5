"""Tests each network against its paper and against numbers by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hybrid_jax import errors
from hybrid_jax.models import mobilenet, resnet, transformer, vgg16, vgg_s
from hybrid_jax.models.ops import normalization
from tests.models import small


def _count(model):
  return sum(
    math.prod(leaf.shape)
    for leaf in jax.tree.leaves(
      small.shapes(model, jnp.zeros((1, *model.EXAMPLE)))
    )
  )


def _conv(kernel, channels, features):
  """Returns the number of parameters of a convolution with a bias."""
  return kernel * kernel * channels * features + features


def _dense(inputs, outputs):
  return inputs * outputs + outputs


def _shapes_at_cuts(model, shape):
  """The features' shape after each block, from the shape before it."""
  x = jnp.zeros((1, *shape))
  params = {'params': small.shapes(model, x)}
  shapes = {}
  for cut in model.SPLIT_POINTS:

    def block(params, x, cut=cut):
      return model.apply(params, x, method=lambda m, x: getattr(m, cut)(x))

    x = jax.eval_shape(block, params, x)
    shapes[cut] = x.shape[1:]
  return shapes


def test_vgg16_has_the_published_size():
  model = vgg16.Model(classes=1000)
  # Table 2 of the paper says 138 million.
  assert _count(model) == 138_357_544
  assert _shapes_at_cuts(model, (224, 224, 3))['pool5'] == (7, 7, 512)
  params = small.shapes(model, jnp.zeros((1, 224, 224, 3)))
  assert params['conv1_1']['conv']['kernel'].shape == (3, 3, 3, 64)
  assert params['fc6']['dense']['kernel'].shape == (7 * 7 * 512, 4096)
  assert params['head']['kernel'].shape == (4096, 1000)


@pytest.mark.parametrize('conv2_padding', [0, 1])
def test_vgg_s_has_the_published_size(conv2_padding):
  model = vgg_s.Model(classes=1000, conv2_padding=conv2_padding)
  assert _count(model) == (
    _conv(7, 3, 96)
    + _conv(5, 96, 256)
    + _conv(3, 256, 512)
    + 2 * _conv(3, 512, 512)
    + _dense(18432, 4096)
    + _dense(4096, 4096)
    + _dense(4096, 1000)
  )
  shapes = _shapes_at_cuts(model, (224, 224, 3))
  # (224 - 7) / 2 + 1, rounded down; then thirds, rounded up.
  assert shapes['conv1'] == (109, 109, 96)
  assert shapes['pool1'] == (37, 37, 96)
  # 37 - 4 pixels, or 2 more with a border of one; halves, rounded up.
  assert shapes['conv2'] == (33 + 2 * conv2_padding,) * 2 + (256,)
  assert shapes['pool2'] == (17 + conv2_padding,) * 2 + (256,)
  assert shapes['conv5'] == (17 + conv2_padding,) * 2 + (512,)
  assert shapes['pool5'] == (6, 6, 512)
  assert math.prod(shapes['pool5']) == 18432


def test_resnet_has_the_size_of_resnet_18():
  def conv_norm(kernel, channels, features):
    # No bias; the norm has a scale and a bias.
    return kernel * kernel * channels * features + 2 * features

  count = conv_norm(7, 3, 64) + 4 * conv_norm(3, 64, 64) + _dense(512, 1000)
  for narrow, wide in ((64, 128), (128, 256), (256, 512)):
    count += conv_norm(3, narrow, wide) + 3 * conv_norm(3, wide, wide)
    count += conv_norm(1, narrow, wide)
  model = resnet.Model(classes=1000)
  assert _count(model) == count == 11_689_512
  shapes = _shapes_at_cuts(model, (224, 224, 3))
  assert shapes['stem'] == shapes['stage1'] == (56, 56, 64)
  assert shapes['stage4'] == (7, 7, 512)
  assert shapes['pool'] == (512,)


def test_mobilenet_has_the_size_of_v3_small():
  # As other implementations of table 2 count it; "2.5 million" in table 5.
  assert _count(mobilenet.Model(classes=1000)) == 2_542_856
  shapes = _shapes_at_cuts(mobilenet.Model(classes=2), (224, 224, 3))
  assert shapes['stem'] == (112, 112, 16)
  # Table 2 counts the input of each row; these are the outputs.
  sides = [56, 28, 28, 14, 14, 14, 14, 14, 7, 7, 7]
  widths = [16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96]
  for i, (side, width) in enumerate(zip(sides, widths, strict=True)):
    assert shapes[f'block{i + 1}'] == (side, side, width)
  assert shapes['pool'] == (576,)
  assert shapes['dense'] == (1024,)


def test_mobilenet_without_norm_has_biases():
  with_norm, without = (
    small.shapes(small.make('mobilenet', norm=norm), np.zeros((1, 8, 8, 1)))
    for norm in (True, False)
  )
  assert with_norm['block1']['project'].keys() == {'conv', 'norm'}
  assert with_norm['block1']['project']['conv'].keys() == {'kernel'}
  assert without['block1']['project'].keys() == {'conv'}
  assert without['block1']['project']['conv'].keys() == {'kernel', 'bias'}


@pytest.mark.parametrize(
  ('size', 'width', 'expected'),
  # The nearest multiple of 8, one more where it would be under nine tenths.
  [(16, 1, 16), (88, 0.5, 48), (88, 0.75, 64), (72, 0.25, 24), (3, 1, 8)],
)
def test_mobilenet_widths_are_multiples_of_eight(size, width, expected):
  # 44: 48. 66: 64, over 59.4. 18: 16, under 16.2, so 24. 3: 8.
  assert mobilenet.scaled(size, width) == expected


def test_transformer_size_worked_out_by_hand():
  width, hidden, tokens = 64, 128, 16
  norm = 2 * width
  block = 2 * norm + 4 * _dense(width, width)
  block += _dense(width, hidden) + _dense(hidden, width)
  count = _dense(8 * 6, width) + tokens * width + 4 * block + norm
  assert _count(transformer.Model(classes=7)) == count + _dense(width, 7)


def test_width_scales_every_layer():
  params = small.shapes(
    vgg16.Model(classes=5, width=0.25), np.zeros((1, 48, 48, 1))
  )
  assert params['conv1_1']['conv']['kernel'].shape == (3, 3, 1, 16)
  assert params['conv5_3']['conv']['kernel'].shape == (3, 3, 128, 128)
  # 48 pixels halved five times, rounded down: one.
  assert params['fc6']['dense']['kernel'].shape == (128, 1024)
  params = small.shapes(
    vgg_s.Model(classes=5, width=0.001, dense=7), np.zeros((1, 48, 48, 1))
  )
  assert params['conv5']['conv']['kernel'].shape == (3, 3, 1, 1)
  assert params['fc7']['dense']['kernel'].shape == (7, 7)


def test_vgg16_norm_comes_between_convolution_and_relu():
  block = vgg16.ConvBlock(width=2, norm=True)
  x = jnp.array([1.0, 3]).reshape(1, 1, 2, 1)
  kernel = jnp.zeros((3, 3, 1, 2)).at[1, 1, 0].set(jnp.array([1.0, -1]))
  y = block.apply(
    {
      'params': {
        'conv': {'kernel': kernel, 'bias': jnp.zeros(2)},
        'norm': {'scale': jnp.ones(2), 'bias': jnp.zeros(2)},
      }
    },
    x,
  )
  # 1, -1 and 3, -3: mean 0, variance 5, in one group; then nothing below 0.
  expected = np.array([[1, 0], [3, 0]]) / np.sqrt(5)
  np.testing.assert_allclose(y[0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(
  ('shape', 'expected'),
  [((1, 5), [[2, 4]]), ((1, 1), [[1]]), ((3, 4), [[6, 8]])],
)
def test_vgg16_pool_leaves_an_axis_of_one_pixel(shape, expected):
  # 1 2 3 ... along the rows; a rest of one is dropped.
  x = jnp.arange(1.0, math.prod(shape) + 1).reshape(1, *shape, 1)
  np.testing.assert_array_equal(
    vgg16.PoolBlock().apply({}, x)[0, ..., 0], expected
  )


def test_vgg_s_pool_rounds_up():
  # Negative, so that no padding with zeros could win.
  x = -jnp.arange(1.0, 21).reshape(1, 4, 5, 1)
  y = vgg_s.PoolBlock(3).apply({}, x)
  np.testing.assert_array_equal(y[0, ..., 0], [[-1, -4], [-16, -19]])


def test_local_response_norm_worked_out_by_hand():
  x = jnp.array([1.0, 2, 3, 4, 5, 6])
  y = vgg_s.local_response_norm(x, size=5, alpha=10, beta=2, k=1)
  # Squares of up to two neighbours on each side, times 10 / 5.
  sums = np.array([1 + 4 + 9, 30, 55, 4 + 9 + 16 + 25 + 36, 86, 77])
  np.testing.assert_allclose(y, x / (1 + 2 * sums) ** 2, rtol=1e-6)


def test_local_response_norm_has_the_published_constants():
  y = vgg_s.local_response_norm(jnp.array([100.0, 0, 0]))
  # 2 + 5e-4 / 5 * 100 ** 2 = 3
  np.testing.assert_allclose(y, [100 / 3**0.75, 0, 0], rtol=1e-6)


@pytest.mark.parametrize(('conv2_padding', 'least'), [(1, 19), (0, 31)])
def test_vgg_s_names_its_least_size(conv2_padding, least):
  model = small.make('vgg_s', conv2_padding=conv2_padding)
  shapes = _shapes_at_cuts(model, (least, least + 5, 1))
  assert shapes['conv2'][:1] == (1,)
  with pytest.raises(errors.UserError) as caught:
    small.shapes(model, np.zeros((1, least + 5, least - 1, 1), np.float32))
  for number in (least + 5, least - 1, least):
    assert f' {number} ' in str(caught.value).replace('.', ' ')


def test_small_resnet_keeps_the_size_of_small_pictures():
  shapes = _shapes_at_cuts(small.make('resnet', small=True), (8, 12, 1))
  assert shapes['stem'] == shapes['stage1'] == (8, 12, 4)
  assert shapes['stage4'] == (1, 2, 32)


def test_a_residual_block_adds_its_input():
  block = resnet.BasicBlock(width=1, stride=1)
  x = jnp.array([-2.0, 5]).reshape(1, 1, 2, 1)
  zero = {'kernel': jnp.zeros((3, 3, 1, 1))}
  norm = {'scale': jnp.ones(1), 'bias': jnp.ones(1)}
  params = {'conv1': zero, 'conv2': zero, 'conv1_norm': norm}
  y = block.apply({'params': {**params, 'conv2_norm': norm}}, x)
  # The bias of the last norm is what is left of the branch: -2 + 1, 5 + 1.
  np.testing.assert_array_equal(y.ravel(), [0, 6])


@pytest.mark.parametrize('depths', [(1, 1, 1), (1, 0, 1, 1)])
def test_resnet_names_wrong_depths(depths):
  model = small.make('resnet', depths=depths)
  with pytest.raises(errors.UserError, match=r'depths is \(1, .*needs 4'):
    small.shapes(model, small.examples('resnet'))


def test_squeeze_and_excite_worked_out_by_hand():
  x = jnp.array([[1.0, 4], [3, 0]]).reshape(1, 1, 2, 2)
  squeeze = {
    # Means 2 and 2; of eight hidden numbers, one is their difference plus 1.
    'kernel': jnp.zeros((2, 8)).at[:, 0].set(jnp.array([1.0, -1])),
    'bias': jnp.zeros(8).at[0].set(1),
  }
  excite = {
    'kernel': jnp.zeros((8, 2)).at[0].set(jnp.array([1.5, -9])),
    'bias': jnp.zeros(2),
  }
  params = {'params': {'squeeze': squeeze, 'excite': excite}}
  y = mobilenet.SqueezeExcite().apply(params, x)
  # The hard sigmoid of 1.5 is (1.5 + 3) / 6; that of -9 is 0.
  np.testing.assert_allclose(y[0, 0], [[0.75, 0], [2.25, 0]], rtol=1e-6)


def test_an_inverted_residual_adds_its_input_where_the_shape_stays():
  for stride, width, adds in ((1, 8, True), (2, 8, False), (1, 16, False)):
    block = mobilenet.Bottleneck(3, 16, width, True, True, stride, norm=False)
    x = jnp.arange(2.0 * 2 * 8).reshape(1, 2, 2, 8)
    zeros = jax.tree.map(
      lambda leaf: jnp.zeros(leaf.shape), small.shapes(block, x)
    )
    y = block.apply({'params': zeros}, x)
    np.testing.assert_array_equal(y, x if adds else jnp.zeros(y.shape))


def test_attention_worked_out_by_hand():
  eye, zeros = jnp.eye(2), jnp.zeros(2)
  # One head, whose scores are all 0 but for a bias that keys cannot feel.
  layers = {
    'query': {'kernel': jnp.zeros((2, 2)), 'bias': zeros},
    'key': {'kernel': eye, 'bias': zeros},
    'value': {'kernel': eye, 'bias': zeros},
    'out': {'kernel': eye, 'bias': jnp.array([0.0, 1])},
  }
  x = jnp.array([[1.0, 2], [3, 6]])[None]
  y = transformer.Attention(1).apply({'params': layers}, x)
  # Equal weights: the mean of both tokens, plus the last bias.
  np.testing.assert_allclose(y[0], [[2, 5], [2, 5]])
  # Two heads of one number each; a query of ln 3, keys 1 and 0.
  layers['query'] = {'kernel': 0 * eye, 'bias': jnp.full(2, jnp.log(3))}
  x = jnp.array([[1.0, 0], [0, 1]])[None]
  y = transformer.Attention(2).apply({'params': layers}, x)
  # Weights 3/4 and 1/4 in the first head, 1/4 and 3/4 in the other.
  np.testing.assert_allclose(y[0], [[0.75, 1.75], [0.75, 1.75]], rtol=1e-6)


@pytest.mark.parametrize(
  ('shape', 'options', 'says'),
  [
    ((1, 30, 4), {}, r'\(1, 30, 4\); with patch 4'),
    ((2, 32, 4), {}, r'\(2, 32, 4\)'),
    ((1, 32, 4), {'heads': 3}, 'heads is 3.*width, which is 16'),
    ((1, 32, 4), {'patch': 0}, 'patch 0'),
  ],
)
def test_transformer_names_the_option_that_does_not_divide(
  shape, options, says
):
  model = small.make('transformer', **options)
  with pytest.raises(errors.UserError, match=says):
    small.shapes(model, np.zeros((1, *shape), np.float32))


def test_transformer_depends_on_the_order_of_its_patches():
  model, x = small.make('transformer'), small.examples('transformer')
  params = {'params': small.params(model, x)}
  run = small.quick(model.apply)
  turned = np.concatenate([x[:, :, 4:8], x[:, :, :4], x[:, :, 8:]], axis=2)
  assert np.abs(run(params, x) - run(params, turned)).max() > 1e-3
  still = {'positions': jnp.zeros((8, 16))}
  params['params']['embed'] |= still
  # Without positions, the mean over tokens cannot tell.
  np.testing.assert_allclose(run(params, x), run(params, turned), atol=1e-5)


def test_group_norm_holds_eight_channels_or_all():
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 3, 4, 16)).astype(np.float32) * 3 + 1
  params = {'params': {'scale': jnp.ones(16), 'bias': jnp.zeros(16)}}
  y = normalization.group_norm(16, 'norm').apply(params, x)
  groups = x.reshape(2, 12, 2, 8)
  mean = groups.mean((1, 3), keepdims=True)
  expected = (groups - mean) / groups.std((1, 3), keepdims=True)
  np.testing.assert_allclose(y, expected.reshape(x.shape), atol=1e-4)
  assert normalization.group_norm(12, 'norm').num_groups == 1
  assert normalization.group_norm(24, 'norm').num_groups == 3


LEARNERS = [
  ('vgg16', {'width': 1 / 8}, 1e-3),
  ('vgg_s', {'width': 1 / 8}, 1e-3),
  ('resnet', {'width': 8, 'depths': (1, 1, 1, 1)}, 3e-3),
  ('mobilenet', {'norm': False}, 3e-3),
  ('transformer', {}, 3e-3),
]


@pytest.mark.parametrize(('name', 'options', 'rate'), LEARNERS)
def test_a_few_steps_lower_the_loss(name, options, rate):
  model = small.make(name, **options)
  x = small.examples(name, batch=24)
  labels = np.arange(24) % small.CLASSES
  # A wave of each class's own length, in noise.
  along = np.arange(x.shape[2])[:, None]
  wave = np.sin(along * np.array([0.4, 1.0, 2.0])[labels][:, None, None, None])
  x = (wave + 0.3 * x).astype(np.float32)
  params = small.params(model, x)

  def loss(params):
    logits = model.apply({'params': params}, x)
    return optax.softmax_cross_entropy_with_integer_labels(
      logits, labels
    ).mean()

  step = small.quick(jax.value_and_grad(loss))
  losses = []
  for _ in range(20):
    value, gradient = step(params)
    losses.append(float(value))
    # In NumPy, by the sign: optax would compile for each shape of a layer.
    gradient = jax.tree.map(np.asarray, gradient)
    params = jax.tree.map(lambda p, g: p - rate * np.sign(g), params, gradient)
  assert np.mean(losses[-3:]) < 0.7 * np.mean(losses[:3]), losses
  # Every parameter had a part in it.
  for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
    assert np.abs(leaf).max() > 0, jax.tree_util.keystr(path)
