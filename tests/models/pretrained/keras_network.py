"""A narrow VGG-16 in Keras, with random weights and the published names."""

import h5py

_STAGES = ((2, 2), (4, 2), (8, 3), (16, 3), (16, 3))


def build(keras):
  """Returns a narrow VGG-16 of 64 pixels, and one with all layers' outputs."""
  layers = keras.layers
  biases = keras.initializers.RandomNormal(stddev=0.1, seed=2)
  x = inputs = keras.Input((64, 64, 3))
  outputs = {}
  for stage, (width, depth) in enumerate(_STAGES, start=1):
    for i in range(1, depth + 1):
      x = outputs[f'conv{stage}_{i}'] = layers.Conv2D(
        width,
        3,
        padding='same',
        activation='relu',
        kernel_initializer=keras.initializers.HeNormal(10 * stage + i),
        bias_initializer=biases,
        name=f'block{stage}_conv{i}',
      )(x)
    x = outputs[f'pool{stage}'] = layers.MaxPooling2D(
      2, 2, name=f'block{stage}_pool'
    )(x)
  x = layers.Flatten(name='flatten')(x)
  for name, ours in (('fc1', 'fc6'), ('fc2', 'fc7')):
    x = outputs[ours] = layers.Dense(
      24,
      activation='relu',
      kernel_initializer=keras.initializers.HeNormal(3),
      bias_initializer=biases,
      name=name,
    )(x)
  outputs['logits'] = layers.Dense(5, name='predictions')(x)
  return keras.Model(inputs, outputs['logits']), keras.Model(inputs, outputs)


def write_published(model, path):
  """Writes the weights as the files of `keras.applications` hold them."""
  with h5py.File(path, 'w') as f:
    for layer in model.layers:
      for array, part in zip(layer.get_weights(), 'Wb', strict=False):
        f[f'{layer.name}/{layer.name}_{part}_1:0'] = array
