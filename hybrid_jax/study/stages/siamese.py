"""Fine-tunes the network with the Siamese loss, once for every split point."""

import ml_collections

from hybrid_jax import settings
from hybrid_jax.stages import base, train
from hybrid_jax.training import augmentation, steps
from hybrid_jax.training import state as train_state


def run(study: base.Study) -> None:
  """Starts each from the trained network, or from its newest checkpoint."""
  config = study.config.siamese
  params = study.params(base.SIMPLE)
  for split_point in study.split_points:
    tx = study.optimizer(config)
    loss = ml_collections.ConfigDict(
      {
        name: settings.at(config[name], split_point)
        for name in ('weight', 'margin', 'balance_pairs')
      }
    )
    train.fit(
      study,
      config,
      steps.make_siamese_step(
        study.trainable,
        tx,
        split_point,
        loss,
        augmentation.make(study.config.augment),
      ),
      train_state.create(params, tx),
      'siamese',
      split_point,
    )
