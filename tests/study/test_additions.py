"""What a full study runs in the work directory of the study itself."""

import ml_collections

from configs import watch
from hybrid_jax import files
from hybrid_jax.study import config_parts, context, runner, validate
from hybrid_jax.study.stages import attack


def _claimed(variant, workdir):
  config = validate.prepare(watch.get_config(variant))
  validate.claim(workdir, config)
  return context.Study(ml_collections.FrozenConfigDict(config), workdir)


def test_a_full_study_attacks_only_what_is_new(tmp_path, monkeypatch):
  done = []

  def stand_in(study, bar, target, measures):
    for measure in measures:
      done.append((measure, target))
      files.write_json(study.result(measure, target), {})
      bar.advance(1)

  monkeypatch.setattr(attack, '_attack', stand_in)
  monkeypatch.setattr(context.Study, 'params', lambda *_: None)
  first = _claimed('', tmp_path)
  attack.run(first)
  assert {measure for measure, _ in done} == {'leakage', 'ceiling', 'ranks'}
  assert config_parts.missing_parts(first.config) == [
    'releases',
    'attacker data',
    'reconstruction',
    'grid of defences',
  ]
  before = len(done)
  full = _claimed('full', tmp_path)
  attack.run(full)
  # Seven embeddings at the dense split.
  assert sorted(done[before:]) == sorted(
    (measure, f'dense1-{name}')
    for measure in ('releases', 'attacker_data', 'reconstruction')
    for name in full.embeddings
  )
  assert config_parts.missing_parts(full.config) == []
  attack.run(full)
  assert len(done) == len(set(done))


def test_times_of_all_runs_are_added(tmp_path):
  path = tmp_path / 'timings.json'
  runner._add_times(path, 'attack', 60.0, 5.0, 7)
  runner._add_times(path, 'train', 20.0, 2.0, 3)
  runner._add_times(path, 'attack', 0.26, 0.0, 0)
  times = files.read_json(path)
  assert (times['attack'], times['train']) == (60.3, 20.0)
  assert times['compiling'] == {'attack': 5.0, 'train': 2.0}
  assert times['programs'] == {'attack': 7, 'train': 3}
