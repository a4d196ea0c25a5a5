from hybrid_jax.datasets import label_encoding


def test_similar_names():
  names = ['Left', 'right', 'left ', 'walk fast', 'Walk  fast', 'walk-fast']
  assert label_encoding.similar_names(names) == [
    ['Left', 'left '],
    ['walk fast', 'Walk  fast'],
  ]
