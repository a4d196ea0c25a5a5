"""The study, which every stage gets as its argument."""

import dataclasses

from hybrid_jax.study import networks, validate


@dataclasses.dataclass(frozen=True)
class Study(networks.Networks):
  """A study: its data, networks, files, and the embeddings that it releases.

  Attributes:
    config: see `study/config_schema.py`.
    workdir: the folder of all files that the study writes.
  """

  def label(self, text: str) -> str:
    """Returns the label of a training's progress bar."""
    return text

  @property
  def split_points(self) -> tuple[str, ...]:
    """The split points of the study, in the network's order."""
    chosen = validate.asked_split_points(self.config)
    return tuple(p for p in self.model.SPLIT_POINTS if p in chosen)

  @property
  def embeddings(self) -> tuple[str, ...]:
    """The names of the study's embeddings, in the order of `release.order`."""
    names = tuple(self.config.release.embeddings)
    order = self.config.release.get('order', ())
    others = tuple(name for name in names if name not in order)
    return tuple(name for name in order if name in names) + others

  def title(self, embedding: str) -> str:
    """Returns the name of an embedding in reports."""
    title = self.config.release.embeddings[embedding].get('title')
    return title or embedding.replace('_', ' ')

  def place(self, embedding: str) -> int | None:
    """Returns an embedding's place in `release.order`; it gives the colour."""
    order = self.config.release.get('order', ())
    return order.index(embedding) if embedding in order else None

  def split_points_of(self, embedding: str) -> tuple[str, ...]:
    """Returns the split points at which an embedding is released."""
    chosen = self.config.release.embeddings[embedding].get('split_points')
    return tuple(p for p in self.split_points if chosen is None or p in chosen)

  @property
  def targets(self) -> tuple[tuple[str, str], ...]:
    """All released pairs of a split point and an embedding, in order."""
    return tuple(
      (split_point, name)
      for split_point in self.split_points
      for name in self.embeddings
      if split_point in self.split_points_of(name)
    )
