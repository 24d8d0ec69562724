#!/usr/bin/env bash
# The whole study within SECONDS: gpu.sh GPUS SECONDS WORK CARRIED. GPUS is 0, or 0,1 for two. Run in the repository's root with vLLM importable.
# WORK/out/log.txt and one archive per family are what is taken home. PLAN has more options of plan.py, ONLY the names of checkpoints.
set -euo pipefail
gpus=${1:?usage: gpu.sh GPUS SECONDS WORK CARRIED}; seconds=${2:?}; work=${3:?}; carried=${4:?}; began=$(date +%s)
here=$(cd "$(dirname "$0")" && pwd); python=${PYTHON:-python3}; mkdir -p "$work/out"
export VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1 VLLM_USE_FLASHINFER_SAMPLER=0 TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=2 OMP_WAIT_POLICY=passive
placing=(--gpus "$gpus"); [ "$gpus" != cpu ] || placing=()
date +%T; nvidia-smi --query-gpu=index,name,memory.total,memory.used,driver_version --format=csv 2>/dev/null || true
find "$carried" -name '*.part00' -print0 | while IFS= read -r -d '' first; do  # files that were cut to be carried
  whole=${first%.part00}; [ -e "$whole" ] || cat "$whole".part[0-9][0-9] > "$whole"
done
$python "$here/plan.py" "$work" ${PLAN:-}
$python "$here/checkpoints.py" "$work" "$carried" ${ONLY:-} > "$work/out/checkpoints.log" 2>&1 & making=$!
( wait_for=150; while kill -0 $making 2>/dev/null && [ $wait_for -gt 0 ]; do sleep 1; wait_for=$((wait_for - 1)); done
  $python -m fidelity study "$work/yaml/study.yaml" --store "$work/plan" --dry-run 2>&1 | tail -n 3 ) &
$python "$here/jobs.py" "$work" $((seconds - ($(date +%s) - began) - 20)) "${placing[@]}" --slots "${SLOTS:-6}" --scorers "${SCORERS:-4}" || true
cat "$work/out/checkpoints.log"; rm "$work/out/checkpoints.log"
date +%T; ls -la "$work/out"; echo FINISHED
