"""Which emotion a face shows, but not whose it is: the paper's facial task.

    hybrid-jax study --config=emotion_faces:FOLDER --workdir=runs/emotion_faces

FOLDER has pictures and a `labels.csv`; see `hybrid_jax.datasets.images`, and
`docs/your_data.md` for the columns with FER, CK+ and AffectNet. Words can
follow it, as in `:FOLDER,size=48,grey=1,small`. Check the data first:

    hybrid-jax check-data --config=emotion_faces:FOLDER --page=check.html

The network is VGG-S of the full width on colour pictures of 224 pixels, cut at
`pool5`, as in the authors' files for EmotiW. Their settings: weight 0.01 and
margin 10 of the Siamese loss, pairs as they come, learning rate 1e-4 with the
last layer at ten times of it, ten pairs (20 pictures) a step, mirrored pictures
in random crops, 10,000 steps. What differs: AdamW with a cosine schedule in
place of momentum, no dropout, all pairs of a batch, and random first weights.
The simple network is trained longer and faster for that reason. A GPU is
needed; on a CPU, add `,size=48,grey=1` and `--config.model.options.width=0.125
--config.model.options.dense=64`.
"""

import ml_collections

from hybrid_jax.study import config_parts, folder_config


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of a folder of faces, by VGG-S.

  Args:
    arg: the folder, and words after commas.

  Raises:
    ValueError: the folder is missing, or a word is unknown.
    UserError: `labels.csv` is invalid.
  """
  data, variant = folder_config.parse(
    'images', arg, ('size', 'grey'), config='emotion_faces', size=(224, 224)
  )
  c = config_parts.get_config(data, {'name': 'vgg_s'}, {'pool5': 8})
  for group in ('training', 'siamese', 'defend'):
    c[group].batch_size = 20
  c.training.steps, c.training.every = 20000, 1000
  c.training.learning_rate, c.training.weight_decay = 1e-3, 1e-2
  c.siamese.steps, c.siamese.every = 10000, 1000
  c.siamese.learning_rate, c.siamese.head_factor = 1e-4, 10.0
  c.siamese.weight, c.siamese.margin = 0.01, 10.0
  c.siamese.balance_pairs = False
  # Crops of 224 pixels from pictures of 256.
  c.augment.mirror, c.augment.shift = 0.5, max(1, min(data['size']) // 14)
  folder_config.fit_to_data(c)
  config_parts.shrink(c, variant)
  return c
