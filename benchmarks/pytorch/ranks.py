"""The rank of the true candidate in PyTorch; see `worker`."""

from collections.abc import Callable

import torch  # pyrefly: ignore[missing-import]

_BLOCK = 512  # probes at a time, as on the other side


def linkage(
  device: str, way: str, probes: int, candidates: int, dim: int
) -> Callable[[], object]:
  """Ranks of random vectors, as numbers on the host.

  Args:
    device: `'cpu'` or `'cuda'`.
    way: `'count'` of the candidates that are closer, ties averaged; or `'sort'`
      of all distances, where ties fall as they may.
    probes: how many are ranked.
    candidates: among how many.
    dim: numbers in a vector.
  """
  c = torch.randn((candidates, dim), device=device)
  truth = torch.randperm(candidates, device=device)[:probes]
  p = c[truth] + torch.randn((probes, dim), device=device)
  return lambda: ranked(p, c, truth, way).cpu()


def ranks(
  device: str,
  way: str,
  probes: list[list[float]],
  candidates: list[list[float]],
  truth: list[int],
) -> list[float]:
  """The ranks, 1 is the closest, of given vectors."""
  p, c = (torch.tensor(a, device=device) for a in (probes, candidates))
  return ranked(p, c, torch.tensor(truth, device=device), way).tolist()


def ranked(
  probes: torch.Tensor, candidates: torch.Tensor, truth: torch.Tensor, way: str
) -> torch.Tensor:
  """`[n]`, of `probes [n, d]`, `candidates [m, d]` and `truth [n]`."""
  found = []
  for p, t in zip(probes.split(_BLOCK), truth.split(_BLOCK), strict=True):
    distance = torch.cdist(p, candidates)
    if way == 'sort':
      place = (distance.argsort(1) == t[:, None]).int().argmax(1)
      found.append(1.0 + place)
      continue
    own = distance.gather(1, t[:, None])
    tied = (distance == own).sum(1) - 1
    found.append(1 + (distance < own).sum(1) + tied / 2)
  return torch.cat(found)
