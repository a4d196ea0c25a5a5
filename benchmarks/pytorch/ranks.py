"""The rank of the true candidate in PyTorch; see `worker`."""

from collections.abc import Callable

import torch  # pyrefly: ignore[missing-import]

_BLOCK = 512  # probes at a time, as in JAX


def linkage(
  device: str, way: str, probes: int, candidates: int, dim: int
) -> Callable[[], object]:
  """Returns a function that ranks random vectors.

  Args:
    device: `'cpu'` or `'cuda'`.
    way: `'count'` counts the closer candidates and averages ties; `'sort'`
      sorts all distances, with ties in any order.
    probes: the number of vectors to rank.
    candidates: the number of candidates.
    dim: the length of a vector.
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
  """Returns the ranks of vectors; 1 is the closest."""
  p, c = (torch.tensor(a, device=device) for a in (probes, candidates))
  return ranked(p, c, torch.tensor(truth, device=device), way).tolist()


def ranked(
  probes: torch.Tensor, candidates: torch.Tensor, truth: torch.Tensor, way: str
) -> torch.Tensor:
  """Ranks `probes [n, d]` among `candidates [m, d]` by `truth [n]`: `[n]`."""
  out = []
  for p, t in zip(probes.split(_BLOCK), truth.split(_BLOCK), strict=True):
    distance = torch.cdist(p, candidates)
    if way == 'sort':
      place = (distance.argsort(1) == t[:, None]).int().argmax(1)
      out.append(1.0 + place)
      continue
    true = distance.gather(1, t[:, None])
    tied = (distance == true).sum(1) - 1
    out.append(1 + (distance < true).sum(1) + tied / 2)
  return torch.cat(out)
