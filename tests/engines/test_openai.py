"""An existing server: what is sent, which answers are stored, and how bad ones are handled."""

import json
import shutil
import ssl
import subprocess
import time

import pytest

from fidelity.errors import ConfigError, EngineError
from fidelity.records import Failure
from tests.engines.fake_server import FakeServer, Reply, listing, text_reply
from tests.test_pipeline import texts

VLLM = {"id": "m", "owned_by": "vllm", "root": "org/m", "max_model_len": 2048, "created": 7}


@pytest.fixture
def run(server_run):
    return server_run


def of(outcome_of):
    """An answer that depends on the prompt; what tries the server out gets a plain one."""
    return lambda request: text_reply() if request.text == "Hi" else outcome_of(request)


class TestAnswers:
    def test_a_chat(self, run):
        with FakeServer(lambda request: text_reply(f"To {request.text}: yes.")) as server:
            finished = run(server)
        assert texts(finished) == {"p0": "To one: yes.", "p1": "To two: yes.", "p2": "To three: yes."}
        body = server.asked[-1].body
        assert {key: body[key] for key in ("model", "temperature", "max_tokens")} == {
            "model": "m",
            "temperature": 0,
            "max_tokens": 8,
        }
        assert not {"top_p", "top_k", "seed", "stream", "return_token_ids"} & set(body)
        engine = finished.manifest.engine
        assert (engine.kind, engine.version) == ("openai", None)
        assert any("fidelity can't set a server's batches" in note for note in engine.notes)

    def test_a_completion_gets_the_prompt_as_it_is(self, run):
        def answer(request):
            assert request.path == "/v1/completions"
            choice = {
                "text": request.text.upper(),
                "logprobs": {"token_logprobs": [-0.5, -1]},
                "finish_reason": "length",
            }
            return Reply({"choices": [choice]})

        with FakeServer(answer) as server:
            outcome = run(server, api="completion").outcomes()[0]
        assert (outcome.text, outcome.logprobs, outcome.finish_reason) == ("ONE", (-0.5, -1.0), "length")

    def test_vllm_gives_token_ids_and_its_defaults_are_overruled(self, run):
        logprobs = {"content": [{"token": "a", "logprob": -0.25}, {"token": "b", "logprob": -2}]}
        with FakeServer(
            lambda _: text_reply("ab", token_ids=[5, 6], logprobs=logprobs), models=listing(VLLM)
        ) as server:
            server.beside["/version"] = Reply({"version": "0.32.0"})
            finished = run(server)
        assert (finished.outcomes()[0].token_ids, finished.outcomes()[0].logprobs) == ((5, 6), (-0.25, -2.0))
        body = server.asked[-1].body
        assert body["return_token_ids"] is body["logprobs"] is True
        assert (body["top_p"], body["top_k"], body["min_p"], body["repetition_penalty"]) == (1.0, 0, 0.0, 1.0)
        engine = finished.manifest.engine
        assert (engine.kind, engine.version, engine.context) == ("vllm-serve", "0.32.0", 2048)

    def test_llama_cpp_gives_them_beside_the_logprobs(self, run):
        logprobs = {"content": [{"id": 9, "token": "a", "logprob": -0.25}]}
        models = listing({"id": "m", "owned_by": "llamacpp", "meta": {"n_params": 135}})
        with FakeServer(lambda _: text_reply("a", logprobs=logprobs), models=models) as server:
            server.beside["/props"] = Reply(
                {
                    "build_info": "b1-x",
                    "model_ftype": "Q4_1",
                    "default_generation_settings": {"n_ctx": 512},
                    "chat_template": "{{ messages }}",
                }
            )
            finished = run(server)
        assert finished.outcomes()[0].token_ids == (9,)
        assert server.asked[-1].body["repeat_penalty"] == 1.0
        engine = finished.manifest.engine
        assert (engine.kind, engine.version, engine.context) == ("llama.cpp", "b1-x", 512)
        assert engine.ran_as == "Q4_1"
        assert engine.chat_template

    @pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
    def test_reasoning_is_kept_apart(self, run, key):
        with FakeServer(lambda _: text_reply("Paris.", message={key: "Which one?"})) as server:
            outcome = run(server).outcomes()[0]
        assert (outcome.text, outcome.reasoning) == ("Paris.", "Which one?")

    def test_an_answer_that_is_all_reasoning_is_an_empty_text(self, run):
        with FakeServer(
            lambda _: text_reply(None, message={"reasoning": "Hm, hm, hm"}, finish_reason="length")
        ) as server:
            assert run(server).outcomes()[0].text == ""

    def test_fields_of_the_request_are_passed_on(self, run):
        with FakeServer(lambda _: text_reply()) as server:
            run(server, request={"chat_template_kwargs": {"enable_thinking": False}}, model="m")
        assert server.asked[-1].body["chat_template_kwargs"] == {"enable_thinking": False}

    def test_a_control_is_another_order_with_fewer_at_once(self, run):
        with FakeServer(lambda _: text_reply()) as server:
            base, control = run(server, keys={"control": {"repeats": 1}}, concurrency=1)
        asked = [request.text for request in server.asked[1:]]
        assert sorted(asked[:3]) == sorted(asked[3:])
        assert asked[:3] != asked[3:]
        assert control.manifest.control_of == base.manifest.digest

    def test_half_a_character_of_two_halves_is_one(self, run):
        body = b'{"choices": [{"message": {"content": "\\ud83d\\ude00 and half: \\ud83d"}}]}'
        with FakeServer(lambda _: Reply(body)) as server:
            assert run(server).outcomes()[0].text == "😀 and half: \ufffd"


BAD = {
    "garbage": (Reply(b"\x00\x01\x02"), "not JSON"),
    "html": (Reply(b"<!DOCTYPE html><p>Log in"), "HTML: '<!DOCTYPE html><p>Log in'"),
    "empty": (Reply(b""), "an empty body"),
    "error": (Reply({"error": {"message": "out of memory"}}), "an error instead of an answer: 'out of memory'"),
    "utf-8": (Reply(b'{"choices": "\xf0\x9f'), r"not UTF-8 \(unexpected end of data at byte 13 of 15\)"),
    "list": (Reply(b"[1]"), "JSON that is not an object"),
    "deep": (Reply(b"[" * 100_000), "not JSON"),
    "none": (Reply({"choices": []}), "0 choices instead of one"),
    "two": (Reply({"choices": [{"index": 0}, {"index": 0}]}), "2 choices instead of one"),
    "missing": (Reply({"id": "x"}), "no choices instead of one"),
    "no message": (Reply({"choices": [{"index": 0}]}), "a choice without a message"),
    "no text": (text_reply(None), "an answer without text"),
    "number": (text_reply(7), "an answer without text"),
    "broken off": (text_reply("Ye", finish_reason="abort"), r"an answer that was aborted \(abort\)"),
    "events": (Reply(b'data: {"choices": []}\n\n'), "a stream of events, which wasn't requested"),
    "cut": (Reply({"choices": []}, cut=4), "the connection was interrupted"),
    "stream stops": (
        Reply(b'd\r\n{"choices": [{\r\n', headers={"transfer-encoding": "chunked", "content-length": ""}, cut=18),
        "the connection was interrupted",
    ),
    "stalls": (Reply({"choices": []}, cut=4, stall=True), "no answer within 2 s"),
    "silent": (Reply({}, stall=True), "no answer within 2 s"),
    "filter": (text_reply("Ye", finish_reason="content_filter"), "the server's filter removed the answer"),
    "too long": (
        Reply({"error": {"message": "5000 tokens,\nat most 9"}}, status=400),
        "HTTP 400: 5000 tokens, at most 9",
    ),
    "500": (Reply(b"boom", status=500), "HTTP 500: boom; tried"),
    "503": (Reply(b"<html>", status=503), "HTTP 503: <html>; tried"),
}


@pytest.mark.parametrize(("bad", "reason"), BAD.values(), ids=BAD)
def test_a_bad_answer_is_a_failure_with_its_reason_and_the_others_are_answered(run, bad, reason):
    with FakeServer(of(lambda request: bad if request.text == "two" else text_reply())) as server:
        outcomes = run(server, timeout=2, patience=0.3).outcomes()
    assert [type(outcome).__name__ for outcome in outcomes] == ["Generation", "Failure", "Generation"]
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(outcomes[1].reason)


def test_a_bad_answer_may_be_followed_by_a_good_one(run):
    bad = iter([reply for reply, _ in list(BAD.values())[:3]])
    with FakeServer(of(lambda request: next(bad, text_reply()))) as server:
        assert not any(isinstance(outcome, Failure) for outcome in run(server, concurrency=1).outcomes())


@pytest.mark.parametrize(
    ("logprobs", "token_ids"), [([{"logprob": None}], [1]), ([{"logprob": -1}] * 2, [1]), ("none", [1])]
)
def test_logprobs_that_fit_no_tokens_are_none(run, logprobs, token_ids):
    with FakeServer(lambda _: text_reply("a", token_ids=token_ids, logprobs={"content": logprobs})) as server:
        outcome = run(server).outcomes()[0]
    assert (outcome.token_ids, outcome.logprobs) == ((1,), None)


@pytest.mark.parametrize("ids", [[1, None], ["1"], [-1], [1 << 40], "1", [True]])
def test_what_is_no_token_id_is_none(run, ids):
    with FakeServer(lambda _: text_reply("a", token_ids=ids)) as server:
        assert run(server).outcomes()[0].token_ids is None


class TestRefusals:
    @pytest.mark.parametrize("refused", ["logprobs", "return_token_ids"])
    def test_what_a_server_refuses_beside_the_text_is_done_without(self, run, refused):
        def answer(request):
            if refused in request.body:
                return Reply({"error": {"message": f"Unrecognized argument: {refused}"}}, status=400)
            return text_reply()

        with FakeServer(answer, models=listing(VLLM)) as server:
            finished = run(server)
        assert finished.manifest.counts.generations == 3
        assert ("the server refuses to return logprobs" in finished.manifest.engine.notes) is (refused == "logprobs")

    def test_newer_models_of_openai_call_the_limit_otherwise(self, run):
        def answer(request):
            if "max_tokens" in request.body:
                return Reply({"error": {"message": "Use 'max_completion_tokens' instead."}}, status=400)
            return text_reply()

        with FakeServer(answer) as server:
            run(server)
        assert server.asked[-1].body["max_completion_tokens"] == 8

    def test_a_server_that_refuses_everything(self, run):
        with (
            FakeServer(lambda _: Reply({"error": {"message": "no temperature"}}, status=400)) as server,
            pytest.raises(EngineError, match="is unusable: HTTP 400: no temperature"),
        ):
            run(server)

    def test_an_address_that_serves_pages(self, run):
        with (
            FakeServer(lambda _: BAD["html"][0], models=BAD["html"][0]) as server,
            pytest.raises(
                EngineError, match=r"doesn't list its models.*HTML.*check whether base_url has to end in /v1"
            ),
        ):
            run(server)

    @pytest.mark.parametrize(
        ("models", "model", "message"),
        [
            (listing({"id": "a"}, {"id": "b"}), "c", "doesn't serve 'c'; it serves a, b"),
            (listing({"id": "a"}, {"id": "b"}), None, "choose a model with 'model'; it serves a, b"),
            (listing({"id": "a"}, {"id": "a"}, {"no": "id"}), "b", "it serves a$"),
            (listing(), None, "it serves none"),
            (Reply({"data": "?"}), None, "it serves none"),
        ],
    )
    def test_a_model_that_is_not_served(self, run, models, model, message):
        with FakeServer(lambda _: text_reply(), models=models) as server, pytest.raises(EngineError, match=message):
            run(server, model=model)

    def test_a_server_that_lists_no_models_is_taken_at_the_users_word(self, run):
        with FakeServer(lambda _: text_reply(), models=Reply(b"", status=404)) as server:
            assert run(server, model="x").manifest.counts.generations == 3

    @pytest.mark.parametrize("status", [401, 402])
    def test_a_key_that_is_not_taken(self, run, status):
        reply = Reply({"error": {"message": "Incorrect API key"}}, status=status)
        with (
            FakeServer(of(lambda _: reply)) as server,
            pytest.raises(EngineError, match=rf"refuses the key, or needs one.*HTTP {status}: Incorrect API key"),
        ):
            run(server)

    def test_a_redirect_is_not_followed_wherever_it_leads(self, run, monkeypatch):
        monkeypatch.setenv("SOME_KEY", "sk-0123456789")
        with FakeServer(lambda _: text_reply()) as other:
            away = Reply(b"", status=307, headers={"location": f"{other.url}/chat/completions"})
            with (
                FakeServer(of(lambda _: away)) as server,
                pytest.raises(EngineError, match=r"leads elsewhere \(HTTP 307, http://127.0.0.1.*write that address"),
            ):
                run(server, api_key_env="SOME_KEY")
        assert not other.seen

    def test_a_certificate_that_does_not_fit(self, run, tmp_path):
        if not shutil.which("openssl"):
            pytest.skip("no openssl to make a certificate with")
        files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=elsewhere"]
        subprocess.run([*command, *files], check=True, capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        with (
            FakeServer(lambda _: text_reply(), tls=tls) as server,
            pytest.raises(EngineError, match=r"its certificate is invalid \(.*CERTIFICATE_VERIFY_FAILED.*nothing was"),
        ):
            run(server)
        assert not server.seen

    @pytest.mark.parametrize("value", [None, "", "  ", "two words", "schlüssel", "a\nb"])
    def test_a_variable_that_holds_no_key(self, run, monkeypatch, value):
        if value is not None:
            monkeypatch.setenv("SOME_KEY", value)
        with (
            FakeServer(lambda _: text_reply()) as server,
            pytest.raises(ConfigError, match="environment variable SOME_KEY"),
        ):
            run(server, api_key_env="SOME_KEY")
        assert not server.seen

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("localhost:8000", "not an HTTP address"),
            ("http://", "not an HTTP address"),
            ("http://[", "not an HTTP address"),
            ("http://host:port/v1", "not an HTTP address"),
            ("https://me:hunter2@host/v1", "the URL contains a user name or a password"),
            ("https://hunter2@host/v1", "the URL contains a user name or a password"),
            ("https://host/v1?key=hunter2", "would be saved with the run"),
        ],
        ids=lambda value: str(len(value)),
    )
    def test_addresses(self, run, url, message):
        with pytest.raises(ConfigError, match=message) as caught:
            run(url)
        assert "hunter2" not in str(caught.value)

    def test_a_field_with_a_place_of_its_own(self, run):
        with pytest.raises(ConfigError, match=r"engine.request: 'temperature' is set elsewhere"):
            run("http://localhost:1/v1", request={"temperature": 1})


def test_a_server_that_asks_for_time_gets_it(run):
    busy = iter([Reply(b"slow down", status=429, headers={"retry-after": "0.3"})])
    came = []

    def answer(request):
        came.append(time.monotonic())
        return next(busy, text_reply())

    with FakeServer(of(answer)) as server:
        run(server, concurrency=1)
    assert came[1] - came[0] >= 0.3


def test_the_log_names_every_attempt_that_failed(run):
    bad = iter([Reply(b"boom", status=500)])
    with FakeServer(of(lambda _: next(bad, text_reply()))) as server:
        finished = run(server, concurrency=1)
    assert "HTTP 500: boom" in (finished.path / "engine.log").read_text()
    assert json.loads((finished.path / "manifest.json").read_text())["counts"]["failures"] == 0
