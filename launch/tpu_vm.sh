#!/usr/bin/env bash
# A study over all hosts of a TPU slice, from your own machine:
#
#   gcloud compute tpus tpu-vm create NAME --zone=ZONE \
#     --accelerator-type=v5litepod-16 --version=v2-alpha-tpuv5-lite
#   bash launch/tpu_vm.sh NAME ZONE setup    # Python 3.11, a clone, JAX for TPU
#   bash launch/tpu_vm.sh NAME ZONE \
#     --config=watch --workdir=/mnt/shared/run
#
# The work directory must be in a file system that all hosts have mounted, such
# as Filestore. After a failure give the same command again: it goes on.
# REPOSITORY is what `setup` clones.
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
name=$1 zone=$2
shift 2
if [ "$1" = setup ]; then
  url=${REPOSITORY:-$(git -C "$(dirname "$0")" remote get-url origin)}
  command="sudo apt-get install -y -q python3.11-venv \
&& { test -d hybrid_jax || git clone $(printf '%q' "$url") hybrid_jax; } \
&& cd hybrid_jax && git pull -q && python3.11 -m venv .venv \
&& .venv/bin/pip install -q -e '.[watch]' 'jax[tpu]'"
else
  command="cd hybrid_jax && .venv/bin/python -m hybrid_jax study\
$(printf ' %q' "$@") --config.distributed=true"
fi
gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
  --command="$command"
