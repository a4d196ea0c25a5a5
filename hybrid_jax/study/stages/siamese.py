"""Fine-tunes the network with the Siamese loss, once for every split point."""

import ml_collections

from hybrid_jax.release import embeddings, mechanisms
from hybrid_jax.study import context
from hybrid_jax.study.stages import train
from hybrid_jax.training import augmentation, steps, train_state


def run(study: context.Study) -> None:
  """Starts each from the trained network, or from its newest checkpoint."""
  config = study.config.siamese
  params = study.params(embeddings.SIMPLE)
  for split_point in study.split_points:
    tx = study.optimizer(config)
    loss = ml_collections.ConfigDict(
      {
        name: mechanisms.at_split_point(config[name], split_point)
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
