import pytest

from fidelity.config import Sampling, VllmEngine, candidate_of, load_run
from fidelity.errors import ConfigError
from fidelity.metrics.rouge import Rouge

BASE = "name: base\nmodel: model\nengine: {kind: vllm}\nprompts: prompts.jsonl\n"


def test_paths_are_relative_to_the_file(workspace):
    run = load_run(workspace.file("base.yaml", BASE))
    assert run.model == str(workspace.folder / "model")
    assert run.prompts == workspace.folder / "prompts.jsonl"


def test_what_is_no_directory_is_a_hub_id(workspace):
    run = load_run(workspace.file("base.yaml", BASE.replace("model: model", "model: HuggingFaceTB/SmolLM2-135M")))
    assert run.model == "HuggingFaceTB/SmolLM2-135M"


def test_metrics_by_name_or_with_parameters(workspace):
    run = load_run(workspace.file("base.yaml", BASE + "metrics: [identical, {kind: rouge, tokenizer: rouge_score}]"))
    assert [metric.kind for metric in run.metrics] == ["identical", "rouge"]
    assert run.metrics[1] == Rouge(tokenizer="rouge_score")


def test_an_encoder_that_is_a_directory_is_relative_too(workspace):
    run = load_run(workspace.file("base.yaml", BASE + "metrics: [{kind: sts, encoder: model}]"))
    assert run.metrics[0].encoder == str(workspace.folder / "model")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a mapping of keys is expected (name:, model:, engine: ...), found nothing"),
        ("- a\n", "found list"),
        ("a: [", "not YAML"),
        (BASE + "promts: x\n", "unknown key 'promts'; did you mean 'prompts'?"),
        (
            BASE.replace("{kind: vllm}", "{kind: vllm, dtpye: bfloat16}"),
            "engine: unknown key 'dtpye'; did you mean 'dtype'?",
        ),
        (BASE + "sampling: {max_tokens: many}\n", "sampling.max_tokens: Input should be a valid integer"),
        (BASE + "sampling: {max_tokens: 0}\n", "sampling.max_tokens: Input should be greater than or equal to 1"),
        (BASE + "metrics: [{kind: rogue}]\n", "metrics.0: unknown kind 'rogue'; did you mean 'rouge'?"),
        (BASE.replace("model: model\n", ""), "'model' is missing"),
        (BASE.replace("kind: vllm", "kind: vlm"), "engine: unknown kind 'vlm'; did you mean 'vllm'?"),
        (BASE.replace("name: base", "name: ../../etc"), "name: String should match pattern"),
        (BASE + "control: {repeats: 0}\n", "repeats: Input should be greater than or equal to 1"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(workspace, text, message):
    file = workspace.file("base.yaml", text)
    with pytest.raises(ConfigError) as caught:
        load_run(file)
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_a_file_that_is_no_text_or_not_there(tmp_path, content):
    file = tmp_path / "base.yaml"
    if content:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"base\.yaml"):
        load_run(file)


def test_a_yaml_file_can_build_no_objects(workspace):
    with pytest.raises(ConfigError, match="not YAML"):
        load_run(workspace.file("base.yaml", "!!python/object/apply:os.system ['true']"))


class TestCandidate:
    def test_takes_prompts_and_sampling_from_the_baseline(self, workspace):
        baseline = load_run(workspace.file("base.yaml", BASE + "sampling: {max_tokens: 7}\nchunk: 9"))
        candidate = load_run(workspace.file("quant.yaml", "name: quant\nmodel: model\nengine: {kind: vllm}"))
        run = candidate_of(baseline, candidate)
        assert (run.prompts, run.sampling, run.chunk) == (baseline.prompts, Sampling(max_tokens=7), 9)
        assert run.engine == VllmEngine(kind="vllm")

    @pytest.mark.parametrize("line", ["sampling: {max_tokens: 8}", "prompts: other.jsonl", "chunk: 10"])
    def test_may_not_ask_for_something_else(self, workspace, line):
        baseline = load_run(workspace.file("base.yaml", BASE + "sampling: {max_tokens: 7}\nchunk: 9"))
        candidate = load_run(workspace.file("quant.yaml", f"name: quant\nmodel: model\nengine: {{kind: vllm}}\n{line}"))
        with pytest.raises(ConfigError, match=f"quant: its '{line.partition(':')[0]}' differs"):
            candidate_of(baseline, candidate)

    def test_may_repeat_what_the_baseline_says(self, workspace):
        baseline = load_run(workspace.file("base.yaml", BASE + "sampling: {max_tokens: 7}"))
        candidate = load_run(workspace.file("quant.yaml", BASE.replace("base", "quant") + "sampling: {max_tokens: 7}"))
        assert candidate_of(baseline, candidate).sampling == Sampling(max_tokens=7)
