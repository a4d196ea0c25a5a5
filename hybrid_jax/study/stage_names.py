"""The names of the stages, apart from the code, whose import takes seconds."""

# In the order in which they run.
STAGES = (
  'data',
  'train',
  'siamese',
  'defend',
  'release',
  'attack',
  'strangers',
  'grid',
  'export',
  'report',
)
