"""Keys reach nothing that is written, printed or listed: by the name of their key, by their form, by their value."""

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fidelity.config import VllmServeEngine, load_run
from fidelity.engines.connection import SHOWN
from fidelity.engines.logs import log_stream
from fidelity.engines.vllm_serve import command, secret_arguments
from fidelity.outside.secrets import HIDDEN, Secrets, fingerprint, is_secret, masked, names_secret
from fidelity.runs.jobs import jobs_of, prompts_of
from fidelity.store.store import Store
from tests.engines.fake_server import FakeServer, Reply, text_reply

KEY = "planted-SECRET-0123456789/abc"
ESCAPED = "".join(f"\\u{ord(c):04x}" for c in KEY)


@pytest.mark.parametrize(
    "name",
    ["HF_TOKEN", "hf_token", "token", "MY_API_KEY", "api-key", "x-api-key", "apiKey", "awsSecretAccessKey", "password",
     "DB_PASSWD", "Authorization", "AWS_SESSION_TOKEN", "GH_PAT", "key", "client_secret", "GOOGLE_CREDENTIALS",
     "hftoken", "HFTOKEN", "api_keys", "apiKeys", "API_KEY_2", "accesstoken", "PGPASSWORD", "private_key_pem",
     "token_value", "hf_token_b64", "smtp_pass", "connection_string", "SLACK_WEBHOOK_URL", "jwt", "auth_tokens"],
)  # fmt: skip
def test_names_of_secrets(name):
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "tokenizer", "eos_token", "pad_token", "return_token_ids", "stop_token_ids", "tokenizer_mode",
     "num_speculative_tokens", "max_num_batched_tokens", "prompt_token", "keys", "monkey", "kv_cache_dtype", "author",
     "bad_tokens", "stop_tokens", "compass", "pass_config", "VLLM_USE_V1",
     "turnkey_mode", "cookies_allowed", "", "seed", "tokens_per_second", "PWD"],
)  # fmt: skip
def test_other_names(name):
    assert not names_secret(name)


def test_what_is_written_down_of_a_config():
    config = {
        "env": {"HF_TOKEN": KEY, "MY_SETTING": "x", "VLLM_CPU_INT4_W4A8": "0", "VLLM_API_KEY": KEY, "EMPTY": ""},
        "options": {"hf_token": KEY, "eos_token": "</s>", "headers": [{"Authorization": KEY}], "seed": 7},
        "note": "made with hf_" + "a" * 30 + ", twice",
    }
    written = masked(config)
    assert KEY not in json.dumps(written)
    assert written["env"]["VLLM_CPU_INT4_W4A8"] == "0"
    assert written["env"]["MY_SETTING"] == fingerprint("x")
    assert written["env"]["EMPTY"] == ""
    assert written["options"]["eos_token"] == "</s>"
    assert written["options"]["seed"] == 7
    assert written["note"] == f"made with {fingerprint('hf_' + 'a' * 30)}, twice"
    assert masked(written) == written  # so that what is read back compares equal
    assert masked({"key": KEY}) != masked({"key": KEY + "x"})


@pytest.mark.parametrize(
    "options",
    [
        {"hf_token": {"value": KEY}}, {"credentials": {"a": {"b": [KEY]}}}, {"api_keys": [KEY, KEY]},
        {"extra_args": ["--api-key", KEY]}, {"extra_args": [f"--api-key={KEY}"]}, {"args": f"--x 1 --hf-token {KEY}"},
        {"url": f"http://host/?x=1&api_key={KEY}"}, {"url": f"http://user:{KEY.replace('/', '')}@host/"},
        {"json": json.dumps({"api_key": KEY})}, {"headers": [["Authorization", KEY]]},
        {"headers": [{"name": "Authorization", "value": KEY}]}, {"headers": [f"X-Api-Key: {KEY}"]},
        {"x": f"Bearer {KEY}"}, {"x": f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----"},
    ],
)  # fmt: skip
def test_a_secret_in_any_place_of_an_engine_s_options(options):
    written = masked({"engine": {"options": options}})
    assert KEY not in json.dumps(written)
    assert KEY.replace("/", "") not in json.dumps(written)
    assert masked(written) == written
    error = f"failed: {KEY} and {KEY.replace('/', '')}"
    hidden = Secrets.in_mappings({"options": options}).hide(error)
    assert (KEY in json.dumps(options)) == (KEY not in hidden)
    assert KEY not in hidden or KEY.replace("/", "") not in hidden


@pytest.mark.parametrize(
    "form",
    ["sk-ant-" + "a" * 30, "gsk_" + "a" * 50, "xai-" + "a" * 60, "r8_" + "a" * 37, "npm_" + "a" * 36,
     "ASIA" + "A" * 16, "ya29." + "a" * 60, "sk_live_" + "a" * 24, "pypi-" + "A" * 60,
     "Basic dXNlcjpwYXNzd29yZDEyMzQ="],
)  # fmt: skip
def test_known_forms_under_any_name(form):
    assert form not in masked({"x": f"see {form}."})["x"]
    assert not is_secret("x", "an ordinary text of prompt_tokens: 12345678")
    engine = VllmServeEngine(kind="vllm-serve", options={"x": form})
    assert not any(form in word for word in command(Path(), "name", engine, 1))
    assert form in secret_arguments(engine)["FIDELITY_VLLM_ARGUMENTS"]


def test_long_numbers_under_a_secret_name():
    assert masked({"password": 1234567890, "token": 5, "seed": 1234567890}) == {
        "password": fingerprint("1234567890"),
        "token": 5,
        "seed": 1234567890,
    }


def test_a_value_is_hidden_in_every_spelling():
    secrets = Secrets.in_mappings({"A_TOKEN": KEY, "OTHER": "visible-all-right"})
    for spelling in (KEY, ESCAPED, KEY.replace("/", "\\/"), KEY.replace("/", "%2F"), ESCAPED.upper().replace("U", "u")):
        assert secrets.hide_in(f'{{"x": "a {spelling} b"}}'.encode()) == f'{{"x": "a {HIDDEN} b"}}'.encode()
    assert secrets.hide(f"visible-all-right {KEY}") == f"visible-all-right {HIDDEN}"
    untouched = b'{"x": "\\u0022 \\\\u0041 \\u00e9 \\ud83d\\ude00"}'
    assert json.loads(secrets.hide_in(untouched)) == json.loads(untouched)
    assert not Secrets(["short"])


def files_with(folder, key):
    """The files that hold it, Parquet and JSON unpacked."""
    holding = []
    for file in folder.rglob("*"):
        if file.is_file() and file.suffix != ".yaml":
            text = file.read_bytes().decode("utf-8", "replace")
            text += str(pq.read_table(file).to_pylist()) if file.suffix == ".parquet" else ""
            holding += [file.name] if key in text or key in text.replace("\\/", "/") else []
    return holding


@pytest.mark.slow
@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize(
    "engine", [{"env": {"HF_TOKEN": KEY}}, {"env": {"ANYTHING": KEY}}, {"options": {"hf_token": KEY}}]
)
def test_a_key_of_an_engine_s_yaml_is_in_no_file_report_log_or_process_list(workspace, fake_vllm, engine, failing):
    workspace.prompts("one", "two", "three")
    base = workspace.baseline(engine={"kind": "vllm", **engine}, kl="none")
    options = {**engine.get("options", {}), **({"quantization": "mxfp4"} if failing else {})}
    quant = workspace.run("quant", engine={"kind": "vllm", **engine, "options": options})
    reports = [f"--{kind}={workspace.folder / f'report.{kind}'}" for kind in ("html", "markdown", "junit", "json")]
    line = [sys.executable, "-m", "fidelity", "compare", base, quant, "--store", workspace.store, "--metric=identical"]
    listed = []
    with subprocess.Popen([*line, *reports], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as running:
        while running.poll() is None:
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    listed += [process] if KEY.encode() in process.read_bytes() else []
            time.sleep(0.05)
        printed = running.stdout.read()
    assert not listed
    assert KEY not in printed
    assert files_with(workspace.folder, KEY) == []
    assert list(workspace.store.glob("runs/*/manifest.json"))


def test_what_an_engine_prints_is_logged_without_what_it_was_given(tmp_path):
    log = tmp_path / "engine.log"
    code = (
        f"import sys; print('given {KEY}', 'x' * 70000, {KEY!r}, sep='\\n', file=sys.stderr); sys.stderr.write({KEY!r})"
    )
    with log_stream(log, Secrets([KEY])) as stderr:
        process = subprocess.Popen([sys.executable, "-c", code], stderr=stderr)
    process.wait()
    until = time.monotonic() + 10
    while log.read_text().count(HIDDEN) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert log.read_text() == f"given {HIDDEN}\n{'x' * 70000}\n{HIDDEN}\n{HIDDEN}"


def test_the_digest_of_a_run_is_that_of_its_real_values(workspace, fake_vllm):
    workspace.prompts("one")
    digests = []
    for value in ("a", "b", "a"):
        config = load_run(workspace.baseline(engine={"kind": "vllm", "env": {"SOME_TOKEN": value * 12}}))
        digests.append(
            jobs_of(config, store=Store(workspace.store), prompts=prompts_of(config, None), as_baseline=True)
        )
    first, second, third = ([job.digest for job in jobs] for jobs in digests)
    assert first == third != second


def test_secret_options_of_a_server_of_our_own_are_in_no_command_line(tmp_path):
    engine = VllmServeEngine(kind="vllm-serve", options={"hf_token": KEY, "quantization": "fp8"})
    assert not any(KEY in word for word in command(tmp_path, "name", engine, 1))
    assert json.loads(secret_arguments(engine)["FIDELITY_VLLM_ARGUMENTS"]) == [f"--hf-token={KEY}"]
    assert secret_arguments(VllmServeEngine(kind="vllm-serve")) == {}


@pytest.mark.parametrize(
    "request_", [{"api_key": KEY}, {"extra_headers": {"Authorization": KEY}}, {"a": [{"token": KEY}]}]
)
def test_a_request_with_a_secret_is_refused(workspace, fidelity, request_):
    workspace.prompts("one")
    engine = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "request": request_}
    code, _, err = fidelity("generate", workspace.baseline(model=None, engine=engine))
    assert code == 2
    assert "put it into an environment variable: api_key_env" in err
    assert KEY not in err


class TestServers:
    @pytest.fixture
    def hunted(self, server_run, workspace, monkeypatch):
        monkeypatch.setenv("SOME_KEY", KEY)

        def run(answer, **server):
            with FakeServer(answer, **server) as served:
                server_run(served, api_key_env="SOME_KEY", patience=0.2)
            assert files_with(workspace.store, KEY) == []
            assert files_with(workspace.store, KEY[:-3]) == []

        return run

    @pytest.mark.parametrize("before", range(300 - len(KEY) - 1, 301))
    def test_an_error_with_the_key_across_the_cut(self, before):
        secrets = Secrets([KEY])
        assert KEY[:6] not in secrets.hide("e" * before + KEY)[:SHOWN]

    def test_a_long_error(self, hunted):
        message = {"error": {"message": "e" * (300 - len(KEY) + 1) + KEY}}
        hunted(lambda request: Reply(message, status=400) if request.text == "two" else text_reply())

    @pytest.mark.parametrize(
        "choice", ['"message": {"content": "%s"}', '"message": {"content": "x"}, "finish_reason": "%s"']
    )
    @pytest.mark.parametrize("spelling", [KEY, ESCAPED])
    def test_an_answer_that_repeats_it(self, hunted, choice, spelling):
        hunted(lambda _: Reply(('{"choices": [{' + choice % spelling + "}]}").encode()))

    @pytest.mark.parametrize("spelling", [KEY, ESCAPED])
    def test_a_model_of_that_name(self, hunted, spelling):
        models = f'{{"data": [{{"id": "{spelling}", "owned_by": "x"}}]}}'.encode()
        hunted(lambda _: text_reply(), models=Reply(models))
