from hybrid_jax.datasets import label_encoding


def test_names_that_look_alike():
  names = ['Left', 'right', 'left ', 'walk fast', 'Walk  fast', 'walk-fast']
  assert label_encoding.similar_names(names) == [
    ['Left', 'left '],
    ['walk fast', 'Walk  fast'],
  ]
