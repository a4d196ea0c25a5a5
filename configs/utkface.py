"""Which gender, but neither age group nor race: the faces of UTKFace.

    hybrid-jax study --config=utkface:PATH \
      --workdir=runs/utkface

PATH is a folder of the published images, or an `.npz` of them; see
`hybrid_jax.datasets.utkface`. For non-commercial research only. A variant can
follow PATH, as in `:PATH,small`.

With part 1 (9,778 faces), on two cores with other work beside it, the training
took 14 min, the Siamese fine-tuning at four split points 7, bounded 4, and the
releases 3. The attacks at `fc6`, without the slowest, took 7 min; the attacks
at all split points were not finished. Results on the test fold:

- simple features: utility 83.0 % [81.3, 84.7];
- noisy reduced Siamese, 8, 6 and 4 numbers at conv5_1, conv5_2 and conv5_3:
  83.3, 83.1 and 82.7 %;
- noisy reduced Siamese, four numbers at fc6: 83.7 %, age group found 42.6 %
  (chance 30.3 %), race 56.2 % (53.8 %).

`docs/results.md` has the rest.
"""

import ml_collections

from hybrid_jax.study import config_parts

# Noise of the noisy reduced Siamese embedding at fc6, besides the 0.3 of all
# studies, in multiples of the root mean square of the released vector.
NOISE = (0.01, 0.1, 0.6, 1.0, 2.0)


def get_config(arg: str = '') -> ml_collections.ConfigDict:
  """Returns the study of `hybrid_jax.datasets.utkface`.

  Args:
    arg: the path, then a comma and one of `config_parts.VARIANTS`. Without a
      path, `--config.data.path` must be set.
  """
  path, _, variant = arg.partition(',')
  if path in config_parts.VARIANTS:
    path, variant = variant, path
  config_parts.check_variant(variant, 'utkface:PATH')
  options = {'width': 0.25, 'dense': 64, 'norm': True}
  c = config_parts.get_config(
    {'name': 'utkface', 'path': path},
    {'name': 'vgg16', 'options': options},
    {'conv5_1': 8, 'conv5_2': 6, 'conv5_3': 4, 'fc6': 4},
  )
  c.release.prototypes = 2  # as many as there are classes
  for noise in NOISE:
    c.release.embeddings[f'noise_{100 * noise:03.0f}_percent'] = {
      'weights': 'siamese',
      'mechanisms': ('pca', 'noise'),
      'noise': noise,
      'split_points': ('fc6',),
    }
  c.augment.mirror, c.augment.shift, c.augment.contrast = 0.5, 4, 0.2
  for group, steps in (('training', 2000), ('siamese', 300), ('defend', 300)):
    c[group].batch_size = 64
    c[group].steps, c[group].every = steps, min(steps, 250)
    c[group].learning_rate = 1e-3
    c[group].weight_decay = 1e-2
  c.defend.warm_steps = 150
  # At conv5_1, these attacks train half a network each time.
  c.attack.only_at.transfer = c.attack.only_at.decensor = ('fc6',)
  c.attack.measures.releases.counts = (1, 8, 64)
  c.attack.measures.attacker_data.shares = (0.1, 0.3, 1.0)
  c.attack.measures.reconstruction.attacks = ('decoder',)
  c.attack.measures.reconstruction.split_points = ('conv5_1', 'fc6')
  config_parts.shrink(c, variant)
  if variant not in ('tune', 'grid') and 'grid' in c:
    del c.grid  # It has nine trainings for each seed; `,tune` has it.
  return c
