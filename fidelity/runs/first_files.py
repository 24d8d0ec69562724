"""The first YAML files of a comparison, with comments, from the models and files of a folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from fidelity.checkpoints import describe, read_config
from fidelity.config import Control, RecordedEngine, RunConfig, Sampling
from fidelity.engines.recordings import read_recorded
from fidelity.errors import ConfigError, FidelityError
from fidelity.prompts import load_prompts, packaged
from fidelity.runs.sources import config_of

PLAIN = ("BF16", "FP16", "FP32")
"""The formats of checkpoints that are not quantized."""
GENERATES = ("ForCausalLM", "ForConditionalGeneration")
"""The ends of the names of architectures that answer prompts."""
SHAPE = ("architectures", "hidden_size", "num_hidden_layers")
"""Keys of config.json that a model shares with its quantized copies."""
BASELINES = ("base", "bf16", "fp16", "original", "reference")
"""Words in the name of a file of outputs that make it the baseline's."""


@dataclass(frozen=True, slots=True)
class FolderPlan:
    """What is compared, as the command line would name it."""

    model: str
    quantized: tuple[str, ...]
    prompts: str | None
    """A prompt set; None if the outputs hold their prompts."""


def find(folder: Path) -> FolderPlan:
    """The unquantized model of a folder and its quantized copies, else a baseline's and its candidates' outputs.

    Models are at most two folders deep. Prompts are the first file of the folder that is a prompt set.

    Raises:
        ConfigError: There is no such pair, or there are several baselines; with what to write instead.
    """
    outputs = [path for path in sorted(folder.glob("*.jsonl")) if _has_answers(path)]
    prompts = next((path for path in sorted(folder.glob("*.jsonl")) if path not in outputs and _is_set(path)), None)
    models = {path: describe(path).format or "" for path in _models(folder)}
    plain = [path for path, format_ in models.items() if format_ in PLAIN]
    if len(plain) == 1:
        copies = [path for path in models if path not in plain and _shape(path) == _shape(plain[0])]
        if copies:
            return FolderPlan(str(plain[0]), tuple(map(str, copies)), str(prompts) if prompts else "starter")
    first = [path for path in outputs if any(word in path.stem.lower() for word in BASELINES)]
    if not models and len(first) == 1 and len(outputs) > 1:
        return FolderPlan(str(first[0]), tuple(str(path) for path in outputs if path != first[0]), None)
    matches = ", ".join(path.name for path in (*models, *outputs)) or "no models and no outputs"
    raise ConfigError(
        f"{folder}: can't tell a baseline and its quantized copies ({matches}); name them: fidelity init --model MODEL "
        f"--quantized QUANTIZED"
    )


def run_file(source: str, folder: Path, *, plan: FolderPlan, gpus: Sequence[str]) -> str:
    """The YAML file of a run, in a folder: the same run as without a file.

    Raises:
        ConfigError: The source is nothing that can be compared.
    """
    config = config_of(source)
    baseline = source == plan.model
    lines = [_title(config, baseline=baseline), f"name: {_scalar(config.name)}"]
    if isinstance(config.engine, RecordedEngine):
        lines += ["engine:", "  kind: recorded", f"  path: {_scalar(_relative(source, folder))}"]
        lines += ["  # ran: {engine: vllm, device: H100}   # what generated the outputs, as far as it is known"]
    else:
        lines += [f"model: {_scalar(_relative(source, folder))}", "engine:", "  kind: vllm"]
        lines += ["  # dtype: bfloat16       # the compute type; default: the checkpoint's"]
        lines += ["  # max_model_len: 4096   # the context length; default: the model's"]
        parallel = max(2, len(gpus))
        lines += [f"  # options: {{tensor_parallel_size: {parallel}}}   # any argument of vLLM; {_machine(gpus)}"]
    if not baseline:
        return "\n".join([*lines, "# Prompts and sampling are the baseline's."]) + "\n"
    if plan.prompts:
        lines += [f"prompts: {_scalar(_relative(plan.prompts, folder))}   # {count_prompts(plan)} prompts"]
        sampling, control = Sampling(), Control()
        lines += [
            f"# sampling: {{temperature: {sampling.temperature:g}, max_tokens: {sampling.max_tokens}}}   # the default",
            f"# control: {{repeats: {control.repeats}}}   # the default: the baseline again, for the floor",
        ]
    else:
        lines += ["# control: {path: again.jsonl}   # the baseline's outputs again, for the floor"]
    return "\n".join(lines) + "\n"


def count_prompts(plan: FolderPlan) -> int:
    """The number of prompts of the comparison."""
    if plan.prompts:
        return len(load_prompts(packaged(plan.prompts) or Path(plan.prompts)))
    return len({row["id"] for _, row in read_recorded(Path(plan.model)).rows})


def _title(config: RunConfig, *, baseline: bool) -> str:
    role = "The baseline: the unquantized model" if baseline else "A candidate: a quantized copy"
    known = ""
    if config.model and Path(config.model).is_dir():
        known = f" ({describe(Path(config.model)).format})"
    return f"# {role}{known}. All keys: docs/runs.md"


def _machine(gpus: Sequence[str]) -> str:
    if not gpus:
        return "no GPU on this machine"
    return f"this machine has {len(gpus)} x {gpus[0]}"


def _relative(path: str, folder: Path) -> str:
    """A path relative to the folder if it is inside, else absolute; a name that is no path is unchanged."""
    absolute, root = Path(path).absolute(), folder.absolute()
    if not absolute.exists():
        return path
    return str(absolute.relative_to(root) if absolute.is_relative_to(root) else absolute)


def _scalar(text: str) -> str:
    written = yaml.safe_dump(text, width=10_000, allow_unicode=True).removesuffix("\n...\n").strip()
    return written if yaml.safe_load(written) == text else json.dumps(text)


def _models(folder: Path) -> list[Path]:
    configs = [*folder.glob("*/config.json"), *folder.glob("*/*/config.json")]
    return [config.parent for config in sorted(configs) if _generates(config.parent)]


def _generates(model: Path) -> bool:
    try:
        architectures = read_config(model).get("architectures")
    except FidelityError:
        return False
    return isinstance(architectures, list) and any(str(name).endswith(GENERATES) for name in architectures)


def _shape(model: Path) -> list[object]:
    config = read_config(model)
    return [config.get(key) for key in SHAPE]


def _has_answers(path: Path) -> bool:
    """Whether a file holds outputs; rows that have a text alone are prompts."""
    try:
        recording = read_recorded(path)
    except FidelityError:
        return False
    answered = all(isinstance(row.get("failure") or row.get("text"), str) for _, row in recording.rows)
    return "prompt" not in path.stem and recording.paired_by != "position" and bool(recording.rows) and answered


def _is_set(path: Path) -> bool:
    try:
        return bool(load_prompts(path))
    except FidelityError:
        return False
