"""A copy of a checkpoint has the same tensors, whatever its files look like."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from fidelity.checkpoints import tensors_id

RANDOM = np.random.default_rng(0)
TENSORS = {
    "model.embed_tokens.weight": RANDOM.normal(size=(300, 64)).astype(np.float16),
    "model.layers.0.mlp.up_proj.weight": RANDOM.normal(size=(512, 64)).astype(np.float16),
    "model.norm.weight": np.ones(64, np.float16),
}
BF16 = {name: tensor.astype(np.float32).view(np.uint32) & 0xFFFF0000 for name, tensor in TENSORS.items()}
"""Values that BF16 can hold, as bits of FP32."""


def write(folder, *shards, config=None, metadata=None, names=None):
    """A checkpoint of these shards, with an index if there are several."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or {"dtype": "float16"}))
    files = names or (
        ["model.safetensors"] if len(shards) == 1 else [f"part-{n}.safetensors" for n in range(len(shards))]
    )
    for file, tensors in zip(files, shards, strict=True):
        save_file(dict(tensors), folder / file, metadata=metadata)
    if len(shards) > 1:
        weight_map = {name: file for file, tensors in zip(files, shards, strict=True) for name in tensors}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def write_bf16(folder):
    """The tensors of `BF16` as safetensors; numpy has no such type, so the header is written by hand."""
    folder.mkdir()
    header, data = {}, b""
    for name, bits in BF16.items():
        raw = (bits >> 16).astype("<u2").tobytes()
        header[name] = {"dtype": "BF16", "shape": bits.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    written = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(written).to_bytes(8, "little") + written + data)
    (folder / "config.json").write_text("{}")
    return folder


def items(*names):
    return {name: TENSORS[name] for name in (names or TENSORS)}


COPIES = {
    "renamed": lambda folder: write(folder, items(), names=["weights.safetensors"]),
    "resharded": lambda folder: write(folder, items(*list(TENSORS)[:1]), items(*list(TENSORS)[1:])),
    "one file per tensor": lambda folder: write(folder, *(items(name) for name in TENSORS)),
    "in another order": lambda folder: write(folder, dict(reversed(TENSORS.items()))),
    "with other metadata": lambda folder: write(folder, items(), metadata={"format": "pt", "by": "a converter"}),
    "with a config written anew": lambda folder: write(folder, items(), config={"torch_dtype": "float16", "x": 1}),
    "with a consolidated copy beside it": lambda folder: write(
        write(folder, items(), names=["consolidated.safetensors"]), items()
    ),
    "stored as FP32": lambda folder: write(folder, {name: t.astype(np.float32) for name, t in TENSORS.items()}),
}


@pytest.mark.parametrize("case", COPIES)
def test_a_copy_has_the_same_identity(tmp_path, case):
    assert tensors_id(COPIES[case](tmp_path / "copy")) == tensors_id(write(tmp_path / "base", items()))


def test_bf16_stored_as_fp32_too(tmp_path):
    wide = {name: bits.astype(np.uint32).view(np.float32) for name, bits in BF16.items()}
    assert tensors_id(write(tmp_path / "wide", wide)) == tensors_id(write_bf16(tmp_path / "base"))


def changed(name, change):
    tensor = TENSORS[name].copy()
    change(tensor)
    return {**TENSORS, name: tensor}


OTHERS = {
    "rounded to four bits": {name: (np.round(t * 4) / 4).astype(np.float16) for name, t in TENSORS.items()},
    "one tensor rounded": changed("model.layers.0.mlp.up_proj.weight", lambda t: np.round(t, 1, out=t)),
    "the first value": changed("model.embed_tokens.weight", lambda t: t.__setitem__((0, 0), 9)),
    "the last value": changed("model.embed_tokens.weight", lambda t: t.__setitem__((-1, -1), 9)),
    "a norm of another size": {**TENSORS, "model.norm.weight": TENSORS["model.norm.weight"] * 2},
    "another name": {name.removeprefix("model."): tensor for name, tensor in TENSORS.items()},
    "another shape": {name: t.reshape(1, *t.shape) for name, t in TENSORS.items()},
    "one tensor less": dict(list(TENSORS.items())[1:]),
    "integers": {name: t.view(np.int16) for name, t in TENSORS.items()},
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_weights_have_another(tmp_path, case):
    assert tensors_id(write(tmp_path / "copy", OTHERS[case])) != tensors_id(write(tmp_path / "base", items()))


def test_a_checkpoint_without_safetensors_has_none(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"w")
    assert tensors_id(tmp_path) is None


@pytest.mark.parametrize("case", COPIES)
def test_by_the_command_a_copy_is_the_baseline(fake_vllm, fidelity, workspace, case):
    """Without a label that claims otherwise: the weights alone are proof."""
    write(workspace.folder / "model", items())
    COPIES[case](workspace.folder / "copy")
    workspace.prompts(*(f"question {n}" for n in range(40)))
    base = workspace.baseline(control={"repeats": 1})
    quant = workspace.run("quant", model="./copy", engine={"kind": "vllm", "options": {"max_num_seqs": 3}})
    gate = workspace.file("gate.yaml", "margins: {identical: 0.3}")
    code, out, _ = fidelity("compare", base, quant, "--gate", gate)
    assert code == 2
    assert "The candidate is the baseline: quant has its weights, and nothing quantizes them." in " ".join(out.split())
