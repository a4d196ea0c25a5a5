"""The paper's way from published weights: VGG-16 fine-tuned on your pictures.

    hybrid-jax study --config=vgg_face:FOLDER --workdir=runs/vgg_face \
      --config.model.pretrained.path=rcmalli_vggface_tf_vgg16.h5

FOLDER has pictures of faces and a `labels.csv`; see
`hybrid_jax.datasets.images`. Words can follow it, as in `:FOLDER,small`.
`docs/vgg_face.md` says where weights come from, and has every step to the files
for a phone.

VGG-16 of the full width on colour pictures of 224 pixels. The layers from
`conv5_1` on are trained, the head ten times as fast. Cuts and numbers that are
sent are the paper's: 8, 6, 4 and 4 at `conv5_1`, `conv5_2`, `conv5_3` and
`fc6`. So are the margin 10 and the weights of the Siamese loss, 0.001 at
`conv5_1` and 0.01 behind it, the learning rate, and batches of ten pairs. What
differs: AdamW with a cosine schedule in place of momentum, all pairs of a
batch, and no dropout. A GPU is needed.
"""

import ml_collections

from hybrid_jax.study import config_parts, folder_config

_CUTS = {'conv5_1': 8, 'conv5_2': 6, 'conv5_3': 4, 'fc6': 4}


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of a folder of faces, by a pretrained VGG-16.

  Args:
    arg: the folder, and words after commas.

  Raises:
    ValueError: the folder is missing, or a word is unknown.
    UserError: `labels.csv` is invalid.
  """
  data, variant = folder_config.parse(
    'images', arg, ('size', 'grey'), config='vgg_face', size=(224, 224)
  )
  c = config_parts.get_config(data, {'name': 'vgg16'}, _CUTS)
  # Of the weights that keras-vggface and Keras publish.
  c.model.pretrained.channel_order, c.model.pretrained.scale = 'bgr', 60.0
  for group in ('training', 'siamese', 'defend'):
    c[group].batch_size = 20
  for group, steps in (('training', 3000), ('siamese', 10000)):
    c[group].steps, c[group].every = steps, 500
    c[group].learning_rate = 1e-4
    c[group].trainable_from, c[group].head_factor = 'conv5_1', 10.0
  c.siamese.margin, c.siamese.balance_pairs = 10.0, False
  with c.ignore_type():  # A weight may be one for all split points.
    c.siamese.weight = ml_collections.ConfigDict(
      {cut: 0.001 if cut == 'conv5_1' else 0.01 for cut in _CUTS}
    )
  c.augment.mirror = 0.5
  c.augment.shift = max(1, min(data['size']) // 14)  # 224 of 256 pixels
  # At the first cuts, these attacks train much of the network.
  c.attack.only_at.transfer = c.attack.only_at.decensor = ('fc6',)
  folder_config.fit_to_data(c)
  config_parts.shrink(c, variant)
  return c
