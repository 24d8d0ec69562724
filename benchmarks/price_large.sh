#!/usr/bin/env bash
# Price of a large shape over several GPUs, all formats loaded at once and no weights on the disk:
# price_large.sh WORK SHAPE GPUS TOKENIZER [OPTION of fidelity price ...]. Run in the repository's root with vLLM importable.
# WORK/SHAPE.json and WORK/store/prices are the results. Memory is for three formats of 70B on two cards of 141 GB.
set -euo pipefail
work=${1:?usage: price_large.sh WORK SHAPE GPUS TOKENIZER [OPTION ...]}; shape=${2:?}; gpus=${3:?}; tokenizer=${4:?}; shift 4
here=$(cd "$(dirname "$0")" && pwd); python=${PYTHON:-python3}; mkdir -p "$work"
# NVLink's multicast is not used: vLLM's two ways of reducing that need it are off.
export VLLM_ALLREDUCE_USE_SYMM_MEM=0 VLLM_ALLREDUCE_USE_FLASHINFER=0 VLLM_NO_USAGE_STATS=1 HF_HUB_OFFLINE=1
$python "$here/shapes.py" "$work/shapes" "$shape" bf16 w8a8-fp8 w4a16 --tokenizer "$tokenizer" --dummy --context 2048
files=()
for format in bf16 w8a8-fp8 w4a16; do
  files+=("$work/$format.yaml")
  cat > "$work/$format.yaml" <<YAML
name: $format
model: $work/shapes/$shape-$format
prompts: $here/../prompts/starter.jsonl
engine:
  kind: vllm-serve
  dtype: bfloat16
  max_model_len: 2048
  options:
    load_format: dummy
    tensor_parallel_size: $gpus
    gpu_memory_utilization: 0.03
    kv_cache_memory_bytes: ${KV_CACHE_BYTES:-4500000000}
    max_num_seqs: 32
    max_num_batched_tokens: 2048
    compilation_config: {pass_config: {fuse_allreduce_rms: false}}
YAML
done
$python -m fidelity price "${files[@]}" --together --store "$work/store" --json "$work/$shape.json" "$@"
