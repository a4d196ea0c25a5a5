#!/usr/bin/env bash
# A study over the nodes of a SLURM job, one process a node:
#
#   bash -c 'source launch/environment.sh; make_environment $STUDY'  # once
#   .venv/bin/pip install "jax[cuda13]==$(.venv/bin/python -c \
#     'import jax; print(jax.__version__)')"                   # once, for GPUs
#   sbatch --nodes=4 [--gpus-per-node=8] launch/slurm.sh \
#     --config=watch --workdir=/shared/run
#
# The repository and the work directory must be in a file system that all nodes
# share. After a node failed, give the same sbatch command again: the study goes
# on, with as many nodes as you like.
#SBATCH --job-name=hybrid_jax
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
set -euo pipefail
# All GPUs of a node are its one process's; JAX would give it the first alone.
gpus=$(nvidia-smi --list-gpus 2> /dev/null | wc -l || true)
if [ "${gpus:-0}" -gt 0 ]; then
  JAX_LOCAL_DEVICE_IDS=$(seq -s, 0 $((gpus - 1)))
  export JAX_LOCAL_DEVICE_IDS
fi
cd "${SLURM_SUBMIT_DIR:-.}"
srun --kill-on-bad-exit=0 .venv/bin/python -m hybrid_jax study \
  "$@" --config.distributed=true
