"""ExecuTorch with the demo model cut to its first two layers, exported here in Meta's Llama 3.2 scheme."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fidelity.cli import main
from fidelity.config import Sampling, load_run
from fidelity.engines import identity, open_engine
from fidelity.engines.base import TokenScoringEngine
from fidelity.errors import ConfigError, MissingPackageError
from fidelity.pipeline import generate
from fidelity.prompts import load_prompts
from fidelity.records import Failure, Message, Prompt
from fidelity.store.store import Store
from tests.conftest import ROOT, Silent
from tests.engines.conditions import check_conditions

MODEL = ROOT / "models" / "smollm2-135m"
PROGRAM = ROOT / "models" / "smollm2-135m-2-layers-executorch.pte"
ENVIRONMENT = os.environ.get("EXECUTORCH_ENVIRONMENT")


@pytest.fixture(scope="module")
def program():
    """Exported the first time, which takes a minute or two."""
    if not (MODEL.exists() and importlib.util.find_spec("executorch")):
        pytest.skip("no demo model, or the package executorch is not installed")
    if not PROGRAM.exists():
        script = [sys.executable, str(ROOT / "examples" / "export_executorch.py"), "--layers", "2"]
        subprocess.run(script, check=True, capture_output=True)
    return PROGRAM


def yaml(folder, **keys):
    run = {
        "name": "phone",
        "engine": {"kind": "executorch", "path": str(PROGRAM), "tokenizer": str(MODEL)},
        "prompts": str(ROOT / "prompts" / "starter.jsonl"),
        "sampling": {"max_tokens": 6},
        "control": "none",
        **keys,
    }
    (folder / "phone.yaml").write_text(json.dumps(run))
    return folder / "phone.yaml"


@pytest.fixture(scope="module")
def engine(program, tmp_path_factory):
    folder = tmp_path_factory.mktemp("executorch")
    with open_engine(load_run(yaml(folder)), log=folder / "engine.log", on_progress=lambda _: None) as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.vllm
def test_what_ran_is_read_from_the_program(engine):
    info = engine.info
    assert (info.kind, info.ran_as, info.context) == ("executorch", "8da4w g32", 2048)
    assert (info.quantized_layers, info.unquantized_layers) == (14, 0)  # q, k, v, o, gate, up, down in each layer
    formats = {(group.kind, group.format) for group in info.layers}
    assert formats == {("linear", "8da4w g32"), ("embedding", "INT8"), ("lm_head", "8da8w")}
    asked = [Prompt("p0", "Hello."), Prompt("p1", "How are you?")]
    check_conditions("executorch", info, list(engine.generate(asked, Sampling(max_tokens=2))))


@pytest.mark.slow
@pytest.mark.vllm
def test_an_answer_doesn_t_depend_on_what_was_asked_before(engine):
    """The KV cache is the program's own, and is written over."""
    sampling = Sampling(max_tokens=8)
    long, short = (Prompt("long", "Once upon a time " * 60), Prompt("short", "What is the capital of France?"))
    after_the_long_one = list(engine.generate([long, short], sampling))[1]
    (alone,) = engine.generate([short], sampling)
    assert after_the_long_one == alone
    assert len(alone.token_ids) == len(alone.logprobs) == 8
    assert alone.finish_reason == "length"


@pytest.mark.slow
@pytest.mark.vllm
def test_teacher_forcing_agrees_with_generating(engine):
    """Each token was the most likely when it was chosen, so scored again it has rank 1 and about the same logprob.

    The prompt is longer than the 127 tokens that one call takes, so it is passed in several calls.
    """
    assert isinstance(engine, TokenScoringEngine)
    prompts = [Prompt("long", "Tell me more about it. " * 40), Prompt("short", "Why?")]
    generations = list(engine.generate(prompts, Sampling(max_tokens=12)))
    for generation, scores in zip(
        generations, engine.score_tokens(prompts, [g.token_ids for g in generations], 3), strict=True
    ):
        assert scores.token_ids.tolist() == list(generation.token_ids)
        assert scores.ranks.tolist() == [1] * 12
        assert scores.logprobs == pytest.approx(generation.logprobs, abs=0.02)
        assert np.array_equal(scores.top_ids[:, 0], scores.token_ids)
        assert scores.top_ids.shape == scores.top_logprobs.shape == (12, 3)


@pytest.mark.slow
@pytest.mark.vllm
def test_the_prefix_of_an_answer_may_be_handed_over_in_any_cut(engine):
    prompt = Prompt("p", "Why?")
    (whole,) = engine.score_tokens([prompt], [list(range(100, 300))], -1)
    (first,) = engine.score_tokens([prompt], [list(range(100, 110))], -1)
    assert whole.top_logprobs.shape == (200, 49152)
    assert whole.top_logprobs[:10] == pytest.approx(first.top_logprobs, abs=0.05)
    assert np.exp(whole.top_logprobs[5].astype(np.float64)).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
@pytest.mark.vllm
def test_a_prompt_beyond_the_context_is_a_failure(engine):
    (outcome,) = engine.generate([Prompt("p", "word " * 3000)], Sampling(max_tokens=8))
    assert isinstance(outcome, Failure)
    assert "the context length is 2048" in outcome.reason


@pytest.mark.slow
@pytest.mark.vllm
def test_a_run_is_compared_like_any_other(program, tmp_path, capsys):
    base = yaml(tmp_path, metrics=["identical"], control={"repeats": 1})
    text = json.loads(base.read_text())
    quant = {"name": "again", "engine": text["engine"], "sampling": text["sampling"]}
    (tmp_path / "again.yaml").write_text(json.dumps(quant))
    store = tmp_path / "store"
    assert main(["compare", str(base), str(tmp_path / "again.yaml"), "--store", str(store), "--limit", "6"]) == 0
    shown = capsys.readouterr().out
    assert "8da4w g32" in shown
    manifests = {run.name: run.manifest for run in Store(store).runs()}
    assert manifests["phone"].checkpoint.bytes == PROGRAM.stat().st_size
    assert manifests["phone"].engine.version


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.skipif(not ENVIRONMENT, reason="EXECUTORCH_ENVIRONMENT names no environment that has executorch")
def test_an_environment_of_its_own_gives_the_same(program, tmp_path):
    """It has neither fidelity nor transformers, and sees nothing of what runs this test."""
    path = yaml(tmp_path)
    (here,) = generate(load_run(path), store=Store(tmp_path / "here"), listener=Silent(), limit=4)
    engine = {"kind": "executorch", "path": str(PROGRAM), "tokenizer": str(MODEL), "environment": ENVIRONMENT}
    path = yaml(tmp_path, engine=engine)
    (there,) = generate(load_run(path), store=Store(tmp_path / "there"), listener=Silent(), limit=4)
    assert [o.token_ids for o in here.outcomes()] == [o.token_ids for o in there.outcomes()]


def test_what_is_missing_is_named_before_anything_is_opened(tmp_path):
    def refused(**engine):
        config = load_run(yaml(tmp_path, engine={"kind": "executorch", **engine}))
        with pytest.raises((ConfigError, MissingPackageError)) as error:
            identity(config, remembered=tmp_path / "hashes.json")
        return str(error.value)

    (tmp_path / "model.pte").write_bytes(b"")
    (tmp_path / "env" / "bin").mkdir(parents=True)
    assert "no such file; give an exported .pte file" in refused(path="none.pte", tokenizer=".")
    assert "has no tokenizer.json" in refused(path="model.pte", tokenizer=".")
    (tmp_path / "tokenizer.json").write_text("{}")
    assert "bin/python is missing" in refused(path="model.pte", tokenizer=".", environment="env")
    bare = tmp_path / "env" / "bin" / "python"
    bare.symlink_to("/bin/false")
    assert "needs the package 'executorch'" in refused(path="model.pte", tokenizer=".", environment="env")


@pytest.mark.skipif(not MODEL.exists(), reason="no demo model: python examples/make_models.py")
def test_a_tokenizer_file_gives_what_transformers_gives():
    pytest.importorskip("tokenizers")
    transformers = pytest.importorskip("transformers")
    from fidelity.children.prompting import tokenized
    from fidelity.children.tokenizer_file import TokenizerFile

    package, own = transformers.AutoTokenizer.from_pretrained(MODEL), TokenizerFile(MODEL)
    assert own.ends == {2}
    assert own.get_vocab() == package.get_vocab()
    prompts = list(load_prompts(ROOT / "prompts" / "starter.jsonl"))
    prompts.append(
        Prompt("chat", (Message("system", "Be  brief.\n"), Message("user", "Grüße 🙂"), Message("assistant", "Hi")))
    )
    for prompt in prompts:
        row = {"text": prompt.text, "messages": [{"role": m.role, "content": m.content} for m in prompt.messages]}
        ids = tokenized(own, row, 8192)
        assert ids == tokenized(package, row, 8192)
        assert own.decode(ids) == package.decode(ids, skip_special_tokens=True)


def test_a_template_that_refuses_makes_a_failure(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    from fidelity.children.prompting import tokenized
    from fidelity.children.tokenizer_file import TokenizerFile

    tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]")).save(
        str(tmp_path / "tokenizer.json")
    )
    (tmp_path / "chat_template.jinja").write_text("{{ raise_exception('no system message') }}")
    refusal = tokenized(TokenizerFile(Path(tmp_path)), {"messages": [], "text": ""}, 10)
    assert refusal == "the chat template refuses the prompt: ValueError: no system message"
