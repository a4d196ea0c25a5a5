"""The networks of `hybrid_jax.models` in PyTorch.

The layers have the same order as in JAX, so that weights can be copied by their
order.
"""

from typing import Any

from torch import nn  # pyrefly: ignore[missing-import]

_GROUP = 8  # channels, as in `hybrid_jax.models.ops.normalization`
_EPSILON = 1e-6  # that of Flax
_VGG = (
  *(64, 64, 'pool', 128, 128, 'pool', 256, 256, 256, 'pool'),
  *(512, 512, 512, 'pool', 512, 512, 512, 'pool'),
)


def make(
  name: str,
  options: dict[str, Any],
  example: list[int],
  classes: int,
  channels_last: bool,
) -> nn.Module:
  """Returns a network for inputs `[batch, channels, height, width]`.

  Args:
    name: `'cnn1d'`, `'vgg16'` or `'resnet'`.
    options: the fields of the model of that name in `hybrid_jax.models`.
    example: height, width and channels.
    classes: the number of logits.
    channels_last: the order in memory, in which the features are flattened.
  """
  maker = {'cnn1d': cnn1d, 'vgg16': vgg16, 'resnet': resnet}[name]
  flatten = nn.Sequential(
    _ChannelsToEnd() if channels_last else nn.Identity(), nn.Flatten()
  )
  return maker(example, classes, flatten, **options)


def cnn1d(
  example: list[int],
  classes: int,
  flatten: nn.Module,
  widths: list[int],
  kernel: int,
  dense: int,
) -> nn.Module:
  """Blocks of convolution, max-pool and ReLU, then a dense layer."""
  _, time, channels = example
  layers: list[nn.Module] = []
  for width in widths:
    layers += [
      nn.Conv2d(channels, width, (1, kernel), padding='same'),
      nn.MaxPool2d((1, 2)),
      nn.ReLU(),
    ]
    channels, time = width, time // 2
  return nn.Sequential(
    *layers,
    flatten,
    nn.Linear(channels * time, dense),
    nn.ReLU(),
    nn.Linear(dense, classes),
  )


def vgg16(
  example: list[int],
  classes: int,
  flatten: nn.Module,
  width: float,
  dense: int,
  norm: bool = False,
) -> nn.Module:
  """VGG-16 with `width` times the channels, and GroupNorm if `norm`."""
  height, wide, channels = example
  layers: list[nn.Module] = []
  for size in _VGG:
    if size == 'pool':
      layers.append(nn.MaxPool2d(2))
      height, wide = height // 2, wide // 2
      continue
    out_channels = max(1, round(size * width))
    layers.append(nn.Conv2d(channels, out_channels, 3, padding=1))
    layers += [_norm(out_channels)] if norm else []
    layers.append(nn.ReLU(inplace=True))
    channels = out_channels
  return nn.Sequential(
    *layers,
    flatten,
    nn.Linear(channels * height * wide, dense),
    nn.ReLU(),
    nn.Linear(dense, dense),
    nn.ReLU(),
    nn.Linear(dense, classes),
  )


def resnet(
  example: list[int],
  classes: int,
  flatten: nn.Module,
  depths: list[int],
  width: int,
) -> nn.Module:
  """ResNet of basic blocks for small images, with GroupNorm."""
  layers: list[nn.Module] = [
    nn.Conv2d(example[-1], width, 3, padding=1, bias=False),
    _norm(width),
    nn.ReLU(inplace=True),
  ]
  channels = width
  for stage, depth in enumerate(depths):
    for i in range(depth):
      layers.append(
        _Block(channels, width * 2**stage, 2 if stage and not i else 1)
      )
      channels = width * 2**stage
  return nn.Sequential(
    *layers, nn.AdaptiveAvgPool2d(1), flatten, nn.Linear(channels, classes)
  )


class _Block(nn.Module):
  def __init__(self, channels, width, stride):
    super().__init__()
    self.conv1 = nn.Conv2d(channels, width, 3, stride, 2 - stride, bias=False)
    # With stride 2, Flax pads an even side only at its end.
    self.pad = nn.ZeroPad2d((0, 1, 0, 1)) if stride == 2 else nn.Identity()
    self.norm1 = _norm(width)
    self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
    self.norm2 = _norm(width)
    self.shortcut = nn.Identity()
    if stride != 1 or channels != width:
      self.shortcut = nn.Sequential(
        nn.Conv2d(channels, width, 1, stride, bias=False), _norm(width)
      )
    self.relu = nn.ReLU(inplace=True)

  def forward(self, x):
    y = self.relu(self.norm1(self.conv1(self.pad(x))))
    return self.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class _ChannelsToEnd(nn.Module):
  def forward(self, x):
    return x.permute(0, 2, 3, 1)


def _norm(channels):
  groups = 1 if channels % _GROUP else channels // _GROUP
  return nn.GroupNorm(groups, channels, eps=_EPSILON)
