"""Names of the embeddings, in the order in which tables show them."""

SIMPLE, SIAMESE = 'simple', 'siamese'
# The paper's five in its order, then ours. A config's own names follow.
EMBEDDINGS = (
  'simple',
  'reduced',
  'siamese',
  'reduced_siamese',
  'noisy_reduced_siamese',
  'bounded',
  'snapped',
)
