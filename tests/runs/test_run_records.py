"""A run records more than its answers: the prompts as their model read them, and what else changes outputs."""

import json

import pyarrow.parquet as pq
import pytest

from fidelity.checkpoints import end_token_ids, proposed_sampling, weights_id
from fidelity.checkpoints.remembered import read_remembered
from fidelity.children.prompting import bos_tokens, prompt_hash
from fidelity.children.vllm_config import speculative
from fidelity.config import VllmEngine, load_run
from fidelity.engines import surroundings
from fidelity.errors import StoreError
from fidelity.outside.environment import kernel_environment
from fidelity.pipeline import generate
from fidelity.runs.jobs import jobs_of, prompts_of
from fidelity.store.runs import Run
from fidelity.store.store import Store
from tests.conftest import ROOT, Silent
from tests.engines.fake_server import FakeServer, Reply, text_reply
from tests.manifests import edited


class TestPrompts:
    def test_an_engine_gives_number_and_hash_of_every_prompt_s_tokens(self, fake_vllm, workspace):
        workspace.prompts("one two", "three four five")
        (run, *_) = generate(load_run(workspace.baseline()), store=Store(workspace.store), listener=Silent())
        # The fake vLLM's tokenizer gives a token for each word and one for the whole.
        assert [outcome.prompt_tokens for outcome in run.outcomes()] == [3, 4]
        ids = [len("one"), len("two"), sum(b"one two") % 997]
        assert run.outcomes()[0].prompt_hash == prompt_hash(ids)

    def test_runs_without_these_columns_are_read(self, fake_vllm, workspace):
        workspace.prompts("one two")
        (run, *_) = generate(load_run(workspace.baseline()), store=Store(workspace.store), listener=Silent())
        file = run.path / "generations.parquet"
        pq.write_table(pq.read_table(file).drop_columns(["prompt_tokens", "prompt_hash"]), file)
        with pytest.raises(StoreError, match="was changed after it was written"):
            Run(run.path).outcomes()
        # Runs from before these columns have no hash of their answers either.
        edited(run.path / "manifest.json", lambda manifest: {**manifest, "answers_sha256": None})
        (outcome,) = Run(run.path).outcomes()
        assert (outcome.prompt_tokens, outcome.prompt_hash, bool(outcome.text)) == (None, None, True)

    def test_a_half_finished_run_of_an_older_version_is_completed(self, fake_vllm, workspace):
        workspace.prompts(*(f"question {n}" for n in range(8)))
        store, config = Store(workspace.store), load_run(workspace.baseline(chunk=4))
        job, *_ = jobs_of(config, store=store, prompts=prompts_of(config, None), as_baseline=True)
        (run, *_) = generate(config, store=store, listener=Silent())
        folder = run.path
        whole = pq.read_table(folder / "generations.parquet")
        first = {one.prompt.id for one in job.plan[0]}
        chunk = [place for place, prompt_id in enumerate(whole["prompt_id"].to_pylist()) if prompt_id in first]
        for file in folder.iterdir():
            file.unlink()
        older = whole.take(chunk).drop_columns(["prompt_tokens", "prompt_hash"])
        pq.write_table(older, folder / "chunk-00000.parquet")
        (again, *_) = generate(config, store=store, listener=Silent())
        counts = [outcome.prompt_tokens for outcome in again.outcomes()]
        assert counts.count(None) == len(chunk) < len(counts)

    @pytest.mark.parametrize(
        ("more", "tokens", "hashed"),
        [
            ({"usage": {"prompt_tokens": 9}}, 9, False),
            ({"prompt_token_ids": [1, 2, 3], "usage": {"prompt_tokens": 3}}, 3, True),
            ({"usage": None}, None, False),
            ({"usage": {"prompt_tokens": "9"}}, None, False),
            ({"usage": {"prompt_tokens": True}}, None, False),
        ],
    )
    def test_of_a_server(self, server_run, more, tokens, hashed):
        def answer(_):
            return Reply({**text_reply("Yes.").body, **more})

        with FakeServer(answer) as server:
            outcome = server_run(server).outcomes()[0]
        assert outcome.prompt_tokens == tokens
        assert outcome.prompt_hash == (prompt_hash([1, 2, 3]) if hashed else None)

    def test_of_a_recording_and_of_an_openai_batch(self, workspace):
        rows = [{"id": "p0", "text": "Yes.", "prompt_tokens": 7}]
        rows += [{"id": "p1", "text": "No.", "prompt_token_ids": [5, 6]}]
        body = {"choices": [{"index": 0, "message": {"content": "Yes."}}], "usage": {"prompt_tokens": 12}}
        batch = [{"custom_id": "p0", "response": {"status_code": 200, "body": body}}]
        for name, recorded, counts in (("rows", rows, [7, 2]), ("batch", batch, [12])):
            config = load_run(workspace.recorded(name, recorded, control="none"))
            (run,) = generate(config, store=Store(workspace.store), listener=Silent())
            assert [outcome.prompt_tokens for outcome in run.outcomes()] == counts

    @pytest.mark.parametrize(("ids", "expected"), [([1, 5], 1), ([1, 1, 5], 2), ([5, 1], 0)])
    def test_bos_tokens_at_the_beginning_are_counted(self, ids, expected):
        class Tokenizer:
            bos_token_id, chat_template = 1, None

            def encode(self, text):
                return ids

        assert bos_tokens(Tokenizer()) == expected


class TestEngine:
    def test_secrets_places_and_what_concerns_no_kernel_are_not_recorded(self, monkeypatch):
        for name in ("VLLM_API_KEY", "VLLM_HOST_IP", "VLLM_PORT", "VLLM_LOGGING_LEVEL", "VLLM_CACHE_ROOT", "HOME"):
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("VLLM_CPU_INT4_W4A8", "1")
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        given = {"VLLM_CPU_INT4_W4A8": "0", "VLLM_MARLIN_INPUT_DTYPE": "fp8"}
        recorded = kernel_environment(given)
        assert recorded.items() >= given.items()
        assert "x" not in recorded.values()

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            (None, "none"),
            ({"method": "ngram", "num_speculative_tokens": 4}, "ngram, 4 tokens"),
            ({"model": "org/draft-1b", "num_speculative_tokens": 2}, "draft-1b, 2 tokens"),
            ({"method": "ngram", "model": "ngram", "num_speculative_tokens": 4}, "ngram, 4 tokens"),
        ],
    )
    def test_how_tokens_are_proposed(self, config, words):
        assert speculative(config) == words

    def test_a_llama_server_reveals_its_end_token_and_its_sampling(self, server_run):
        def answer(_):
            return text_reply("Yes.")

        with FakeServer(answer, models=Reply({"data": [{"id": "m", "owned_by": "llamacpp"}]})) as server:
            params = {"presence_penalty": 0.5, "samplers": ["top_k"]}
            server.beside["/props"] = Reply({"eos_token": "</s>", "default_generation_settings": {"params": params}})
            run = server_run(server)
        engine = run.manifest.engine
        assert engine.end_tokens == ("</s>",)
        assert engine.generation_config == {"presence_penalty": 0.5}
        assert engine.model == "m"
        assert "reveals" not in run.manifest.identity["server"]


class TestCheckpoint:
    def test_equal_weights_under_another_template_are_equal(self, tmp_path):
        for name, weights in (("a", b"w"), ("b", b"w"), ("c", b"v")):
            (tmp_path / name).mkdir()
            (tmp_path / name / "model.safetensors").write_bytes(weights)
            (tmp_path / name / "chat_template.jinja").write_text(name)
        a, b, c = (weights_id(tmp_path / name, tmp_path / "hashes.json") for name in "abc")
        assert a == b != c
        (tmp_path / "empty").mkdir()
        assert weights_id(tmp_path / "empty", tmp_path / "hashes.json") is None

    def test_a_file_of_the_hub_s_cache_is_known_by_its_name(self, tmp_path):
        (tmp_path / ("0" * 64)).write_bytes(b"never read")
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "model.safetensors").symlink_to(tmp_path / ("0" * 64))
        weights_id(tmp_path / "model", tmp_path / "hashes.json")
        assert list(read_remembered(tmp_path / "hashes.json").values()) == ["0" * 64]

    def test_end_tokens_and_proposed_sampling(self, tmp_path):
        files = {
            "generation_config.json": {"eos_token_id": [7, 8], "top_p": 0.9, "do_sample": True},
            "tokenizer_config.json": {"eos_token": {"content": "</s>"}},
            "tokenizer.json": {"added_tokens": [{"content": "</s>", "id": 2}, {"content": "<s>", "id": 1}]},
        }
        for name, content in files.items():
            (tmp_path / name).write_text(json.dumps(content))
        assert end_token_ids(tmp_path) == (2, 7, 8)
        assert proposed_sampling(tmp_path) == {"top_p": 0.9}


def test_digests_of_recorded_runs_are_what_they_were():
    """Keys that `ran:` has since then enter a digest only where they are given."""
    config = load_run(ROOT / "examples" / "recordings" / "bf16.yaml")
    job, *_ = jobs_of(config, store=Store(ROOT), prompts=prompts_of(config, None), as_baseline=True)
    assert job.digest == "75bd48aa931e3adbb10041bfb8d1097b938095222c59d09b20928550475ad131"


def test_a_key_in_the_environment_does_not_enter_a_run(fake_vllm, monkeypatch):
    plain = surroundings(VllmEngine(kind="vllm"))
    monkeypatch.setenv("VLLM_API_KEY", "sk-planted")
    assert surroundings(VllmEngine(kind="vllm")) == plain
