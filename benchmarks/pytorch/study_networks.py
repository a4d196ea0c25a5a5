"""Networks, losses and training of the PyTorch study."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import sklearn.decomposition
import torch  # pyrefly: ignore[missing-import]
from torch import nn  # pyrefly: ignore[missing-import]
from torch.nn import functional  # pyrefly: ignore[missing-import]

POINTS = ('conv1', 'conv2', 'conv3', 'dense1')
_BLOCK = 1024  # examples in one forward pass
_START = 3.3  # initial rms of the released vector, in units of the noise


class Network(nn.Module):
  """1-D CNN that can be cut after any block, in the channels-last layout.

  Features are `[batch, size]` in the order of the memory, so that the cut needs
  no copy.
  """

  def __init__(self, example: Any, classes: int, options: dict[str, Any]):
    """Takes `example [1, channels, 1, time]`, and the config's `options`."""
    super().__init__()
    blocks, (_, channels, _, time) = [], example.shape
    self.shapes = []  # Of each block's output: channels, and time or nothing.
    for width in options['widths']:
      blocks.append(
        nn.Sequential(
          nn.Conv2d(channels, width, (1, options['kernel']), padding='same'),
          nn.MaxPool2d((1, 2)),
          nn.ReLU(),
        )
      )
      channels, time = width, time // 2
      self.shapes.append((channels, time))
    dense = nn.Linear(channels * time, options['dense'])
    blocks.append(nn.Sequential(_Flatten(), dense, nn.ReLU()))
    self.shapes.append((options['dense'],))
    self.blocks = nn.ModuleList(blocks)
    self.head = nn.Linear(options['dense'], classes)
    for layer in self.modules():
      if isinstance(layer, nn.Conv2d | nn.Linear):
        # LeCun's initialisation, as in Flax. With PyTorch's default, a third of
        # its variance, the Siamese loss hides less in the same steps.
        nn.init.kaiming_normal_(layer.weight, nonlinearity='linear')
        nn.init.zeros_(layer.bias)
    self.to(memory_format=torch.channels_last)

  def edge(self, x: Any, split_point: str) -> Any:
    """Returns features `[batch, size]` of `x [batch, channels, 1, time]`."""
    for block in self.blocks[: POINTS.index(split_point) + 1]:
      x = block(x)
    return flat(x)

  def cloud(self, features: Any, split_point: str) -> Any:
    """Returns logits `[batch, classes]` of `features [batch, size]`."""
    done = POINTS.index(split_point)
    shape = self.shapes[done]
    if len(shape) > 1:
      channels, time = shape
      features = features.view(-1, 1, time, channels).permute(0, 3, 1, 2)
    for block in self.blocks[done + 1 :]:
      features = block(features)
    return self.head(features)

  def forward(self, x: Any) -> Any:
    """Returns logits `[batch, classes]` of `x [batch, channels, 1, time]`."""
    for block in self.blocks:
      x = block(x)
    return self.head(x)


class _Flatten(nn.Module):
  def forward(self, x):
    return flat(x)


def flat(x: Any) -> Any:
  """Flattens `[batch, channels, 1, time]` to `[batch, time * channels]`."""
  return x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x


class Bottleneck(nn.Module):
  """Linear layer with an output shorter than `limit`, and its inverse."""

  def __init__(self, features: np.ndarray, dim: int, limit: float):
    """Starts from the scaled principal components of `features [n, size]`."""
    super().__init__()
    mean, components = principal_components(features, dim)
    sent = (features - mean) @ components.T
    gain = _START / np.sqrt(np.square(sent).mean())
    self.encode = nn.Parameter(torch.as_tensor(components.T * gain))
    self.shift = nn.Parameter(torch.as_tensor(-gain * (components @ mean)))
    self.decode = nn.Parameter(torch.as_tensor(components / gain))
    self.mean = nn.Parameter(torch.as_tensor(mean))
    self.limit = limit

  def forward(self, z: Any) -> Any:
    """Returns vectors without noise `[batch, dim]` of `z [batch, size]`."""
    p = z @ self.encode + self.shift
    squared = p.square().sum(-1, keepdim=True)
    return p / (1 + squared / self.limit**2).sqrt()

  def inverse(self, released: Any) -> Any:
    """Returns features `[batch, size]` of `released [batch, dim]`."""
    return released @ self.decode + self.mean


def principal_components(
  x: np.ndarray, dim: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns the mean `[size]` and first components `[dim, size]` of `x`."""
  pca = sklearn.decomposition.PCA(dim, svd_solver='arpack', random_state=0)
  pca.fit(x.astype(np.float64))
  return pca.mean_.astype(np.float32), pca.components_.astype(np.float32)


def fit(
  loss: Callable[..., Any],
  parameters: Iterable[Any],
  data: tuple[Any, ...],
  settings: dict[str, Any],
  evaluate: Callable[[], float],
  steps: int = 0,
) -> list[float]:
  """Trains with AdamW, a warm-up and a cosine decay to zero, by epochs.

  Args:
    loss: the loss of a batch of `data`.
    parameters: the parameters to train.
    data: tensors of the same length.
    settings: `steps`, `every`, `batch_size`, `learning_rate`, `warmup`,
      `weight_decay`, as in the study's config.
    evaluate: returns the accuracy on validation.
    steps: replaces `steps` and `every` of the settings, if not 0.

  Returns:
    The accuracy after each `every` steps.
  """
  total, every = steps or settings['steps'], steps or settings['every']
  warm = int(settings['warmup'] * total)

  def rate(step):
    if step < warm:
      return step / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / (total - warm)))

  optimizer = torch.optim.AdamW(
    parameters,
    settings['learning_rate'],
    weight_decay=settings['weight_decay'],
    fused=True,
  )
  schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
  size = settings['batch_size']
  batches, accuracies = iter(()), []
  for done in range(1, total + 1):
    rows = next(batches, None)
    if rows is None:
      order = torch.randperm(len(data[0]))
      batches = iter(order[: len(order) // size * size].split(size))
      rows = next(batches)
    optimizer.zero_grad()
    loss(*(x[rows] for x in data)).backward()
    optimizer.step()
    schedule.step()
    if done % every == 0:
      accuracies.append(evaluate())
  return accuracies


@torch.inference_mode()
def in_blocks(function: Callable[[Any], Any], x: Any) -> np.ndarray:
  """Applies `function` to the rows of a tensor, in blocks."""
  return torch.cat([function(part) for part in x.split(_BLOCK)]).cpu().numpy()


def contrastive(
  features: Any, labels: Any, margin: float, balance: bool
) -> Any:
  """Computes the contrastive loss of all pairs of `features [batch, size]`."""
  centred = features - features.mean(0)
  gram = centred @ centred.T
  norms = gram.diagonal()
  squared = (norms[:, None] + norms - 2 * gram).clamp_min(0)
  # The clamp also keeps the root's gradient finite.
  near = (margin - squared.clamp_min(1e-12).sqrt()).clamp_min(0).square()
  alike = labels[:, None] == labels
  different = ~alike
  alike = alike.fill_diagonal_(fill_value=False)
  same, other = (squared * alike).sum(), (near * different).sum()
  if not balance:
    return (same + other) / (len(labels) * (len(labels) - 1))
  some = alike.sum().clamp_min(1), different.sum().clamp_min(1)
  return 0.5 * (same / some[0] + other / some[1])


def gaussian_bits(released: Any, labels: Any, classes: int) -> Any:
  """Computes `sum_y P(y) 1/2 log2 det(I + Cov(released | y))`, in bits."""
  member = functional.one_hot(labels, classes).to(released.dtype)
  count = member.sum(0)
  some = count.clamp_min(1)
  centred = released - ((member.T @ released) / some[:, None])[labels]
  covariance = torch.einsum('bk,bi,bj->kij', member, centred, centred)
  identity = torch.eye(released.shape[1])
  logdet = torch.logdet(identity + covariance / some[:, None, None])
  return (count / len(labels) * 0.5 * logdet).sum() / math.log(2)
