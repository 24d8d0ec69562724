#!/usr/bin/env bash
# All GPU measurements of the study and of docs/price.md: host.sh CARRIED WORK SECONDS, in a copy of the repository that nothing else changes
# meanwhile. GPUS=0 uses one GPU; GPUS=0,1 two, with the price of the 70B shape as well. CARRIED is what carry.sh made. WORK/results has
# the logs and JSON, WORK/study/out an archive per family; WORK/results/host.log ends with "HOST FINISHED", also after a failure. Begins
# with a check of a few seconds: what can't be imported stops it before anything is measured.
set -euo pipefail
carried=$(realpath "${1:?usage: host.sh CARRIED WORK SECONDS}"); work=$(realpath -m "${2:?}"); end=$(($(date +%s) + ${3:?}))
root=$(cd "$(dirname "$0")/../.." && pwd); results=$work/results; mkdir -p "$results"; cd "$root"
exec > >(tee -a "$results/host.log") 2>&1
trap 'echo HOST FINISHED' EXIT
left() { echo $((end - $(date +%s))); }
export PYTHONPATH=$work/site:$root VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1 VLLM_USE_FLASHINFER_SAMPLER=0 PYTHONUNBUFFERED=1
S=$carried/models/smollm2-135m
if [ -e "$S/model.safetensors.xz" ]; then
  python3 -c "import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1] + '.xz'), open(sys.argv[1], 'wb'), 1 << 24)" "$S/model.safetensors"
  rm "$S/model.safetensors.xz"
fi
[ -d "$work/site" ] || python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$work/site" "$carried"/wheels/*.whl
python3 -c "import fidelity.cli, fidelity.study.study, fidelity.price.sweep, fidelity.metrics, compressed_tensors, gguf, torchao, vllm"
python3 -m fidelity --version; echo "checked, $(left) s left"
shapes() { python3 benchmarks/shapes.py "$work/shapes" "$@" --tokenizer "$S" --context 8192; }
(shapes llama-3.1-8b bf16; for n in 1b 3b; do shapes llama-3.2-$n bf16 --dummy; done; shapes llama-3.1-8b w8a8-fp8 w4a16 --dummy) > "$results/shapes.log" 2>&1 &
shaping=$!
gpus=${GPUS:-0}; first=${gpus%%,*}; last=${gpus##*,}; others=${OTHERS:-360}; scorers=4; slots=8
[ "$first" = "$last" ] || { others=${OTHERS:-640}; scorers=6; slots=14; }
PLAN="--skip ${SKIP:-sl}" SLOTS=${SLOTS:-$slots} SCORERS=$scorers \
  bash benchmarks/study_2026/gpu.sh "$gpus" $(($(left) - others)) "$work/study" "$carried" > "$results/study.log" 2>&1 || true
wait $shaping; echo "study ended, $(left) s left"
agreement() {
  timeout "$1" python3 benchmarks/price.py speed --model "$work/shapes/llama-3.1-8b-bf16" --pairs 5 --prompts 64 \
    --max-tokens 64 256 --compiled > "$results/agreement.log" 2>&1 || echo "agreement: exit $?"
  echo "agreement ended, $(left) s left"
}
activations() {
  mkdir -p "$work/activations"; cd "$work/activations"; files=()
  for model in llama-3.2-1b-bf16 llama-3.2-3b-bf16 llama-3.1-8b-bf16 llama-3.1-8b-w8a8-fp8 llama-3.1-8b-w4a16; do
    files+=("$model.yaml")
    printf '%s\n' "name: $model" "model: $work/shapes/$model" "prompts: $root/prompts/starter.jsonl" \
      "engine: {kind: vllm-serve, dtype: bfloat16, max_model_len: 8192, options: {load_format: dummy}}" > "$model.yaml"
  done
  timeout "$1" python3 -m fidelity price "${files[@]}" --scenarios 64/16 --mode sync --turns 1 --one-by-one 1 \
    --no-load-after $(($1 - 15)) --store store --json "$results/activations.json" > "$results/activations.log" 2>&1 || echo "activations: exit $?"
  echo "activations ended, $(left) s left"
}
large() {
  timeout "$1" bash benchmarks/price_large.sh "$work/large" llama-3.1-70b 2 "$S" --scenarios rag,chat --rates "${RATES:-2,4,inf}" \
    --seconds 3 --at-once 24 --one-by-one 1 --turns 3 --price 5 --no-load-after $(($1 - 40)) > "$results/large.log" 2>&1 || echo "large: exit $?"
  cp "$work"/large/*.json "$results" 2>/dev/null || true
  echo "large ended, $(left) s left"; sleep 5
}
if [ "$first" = "$last" ]; then
  agreement $(($(left) > 10 ? $(left) : 10))
  n=$(left); [ "$n" -lt 60 ] || activations "$n"
else
  n=$(left); n=$((n < ${LARGE:-400} ? n : ${LARGE:-400})); [ "$n" -lt 150 ] || large "$n"
  n=$(left); [ "$n" -ge 60 ] || exit 0
  (CUDA_VISIBLE_DEVICES=$last activations "$n") & beside=$!
  [ "$n" -lt 150 ] || CUDA_VISIBLE_DEVICES=$first agreement "$n"
  wait $beside
fi
