"""Writes what `test_torch.py` reads: VGG-16 in PyTorch, and its answers.

    python tests/models/pretrained/make_torch_fixture.py

Needs torch, numpy and safetensors, and nothing of this program. The network has
torchvision's layers under torchvision's names, all widths divided by 32; only
torchvision's average of the last pool to 7 x 7 pixels is left out, which does
nothing to its own pictures of 224 x 224.
"""

import pathlib

import numpy as np
import safetensors.torch
import torch
from torch import nn

_STAGES = ((2, 2), (4, 2), (8, 3), (16, 3), (16, 3))
_SIDE, _DENSE, _CLASSES = 64, 24, 5


class Vgg16(nn.Module):
  """torchvision's configuration D; `[b, 3, 64, 64]` to `[b, 5]`."""

  def __init__(self) -> None:
    super().__init__()
    layers, depth = [], 3
    for width, convolutions in _STAGES:
      for _ in range(convolutions):
        layers += [nn.Conv2d(depth, width, 3, padding=1), nn.ReLU()]
        depth = width
      layers.append(nn.MaxPool2d(2, 2))
    self.features = nn.Sequential(*layers)
    pixels = (_SIDE // 2 ** len(_STAGES)) ** 2
    self.classifier = nn.Sequential(
      nn.Linear(depth * pixels, _DENSE),
      nn.ReLU(),
      nn.Dropout(),
      nn.Linear(_DENSE, _DENSE),
      nn.ReLU(),
      nn.Dropout(),
      nn.Linear(_DENSE, _CLASSES),
    )


def answers(model: Vgg16, x: torch.Tensor) -> dict[str, np.ndarray]:
  """What every split point of the paper's names gives, channels last."""
  names = [
    name
    for stage, (_, depth) in enumerate(_STAGES, start=1)
    for name in (
      *(f'conv{stage}_{i + 1}' for i in range(depth)),
      f'pool{stage}',
    )
  ]
  loaded = {}
  for layer in model.features:
    x = layer(x)
    if not isinstance(layer, nn.Conv2d):
      loaded[names[len(loaded)]] = x.permute(0, 2, 3, 1).numpy()
  x = x.flatten(1)
  dense = iter(('fc6', 'fc7'))
  for layer in model.classifier:
    x = layer(x)
    if isinstance(layer, nn.ReLU):
      loaded[next(dense)] = x.numpy()
  return {**loaded, 'logits': x.numpy()}


def main() -> None:
  """Writes `vgg16_torch.safetensors` and `vgg16_torch.npz` beside this file."""
  torch.manual_seed(0)
  model = Vgg16().eval()
  for name, value in model.named_parameters():
    # PyTorch's own first weights would fade out within sixteen layers.
    if name.endswith('bias'):
      nn.init.normal_(value, std=0.1)
    else:
      nn.init.kaiming_normal_(value)
  folder = pathlib.Path(__file__).parent
  safetensors.torch.save_file(
    model.state_dict(), folder / 'vgg16_torch.safetensors'
  )
  pixels = np.random.default_rng(0).integers(
    0, 256, (1, _SIDE, _SIDE, 3), np.uint8
  )
  x = torch.from_numpy(pixels).float().permute(0, 3, 1, 2) / 128 - 1
  with torch.no_grad():
    np.savez_compressed(
      folder / 'vgg16_torch.npz', pixels=pixels, **answers(model, x)
    )


if __name__ == '__main__':
  main()
