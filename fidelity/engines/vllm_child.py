"""The child process that holds one vLLM engine.

Requests come in on stdin, records go out on stdout, one JSON object a line. Run by `ChildEngine`, never by hand.
When stdin closes, whether asked to or because the parent died, the process ends.
"""

import hashlib
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TextIO

HEARTBEAT_S = 1.0
"""How often a running chunk says how far it is."""
LAST_BREATH_S = 20.0
"""How long the engine may take to shut down before the process is killed."""


def main() -> None:
    """Answer requests until stdin closes: first `open`, then any number of `generate`."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints goes to the log, not between the records
    requests: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    busy = threading.Event()
    threading.Thread(target=_read_requests, args=(requests, busy), daemon=True).start()

    engine: VllmInProcess | None = None
    while (request := requests.get()) is not None:
        busy.set()
        try:
            match request:
                case {"open": settings}:
                    engine = VllmInProcess(settings)
                    _reply(replies, info=engine.info)
                case {"generate": rows, "sampling": sampling} if engine:
                    for record in engine.generate(rows, sampling, lambda p, t: _reply(replies, progress=[p, t])):
                        _reply(replies, record=record)
                    _reply(replies, done=True, step_seconds=engine.step_seconds)
        except Exception as error:
            logging.getLogger(__name__).exception("the request failed")
            _reply(replies, error=f"{type(error).__name__}: {error}")
        busy.clear()


class VllmInProcess:
    """vLLM's `LLM` and what became known of it while it was loaded."""

    def __init__(self, settings: dict[str, Any]) -> None:
        from vllm import LLM

        lines = _record_log("vllm")  # after the import, which sets up vLLM's logging anew
        self._llm = LLM(**settings)
        self._tokenizer = self._llm.get_tokenizer()
        self._has_template = bool(getattr(self._tokenizer, "chat_template", None))
        self._context = int(self._llm.llm_engine.model_config.max_model_len)
        self.step_seconds = 0.0
        """Spent inside the engine's own steps since the warm-up."""
        self.info = self._describe(lines)
        self._warm_up()
        self.step_seconds = 0.0

    def generate(
        self, rows: list[dict[str, Any]], sampling: dict[str, Any], on_progress: Callable[[int, int], None]
    ) -> Iterator[dict[str, Any]]:
        """One record per row, in order: all of them are in the engine at once, behind an empty prefix cache."""
        self._llm.reset_prefix_cache()
        tokens = [self._tokenize(row) for row in rows]
        outputs = iter(self._run([ids for ids in tokens if not isinstance(ids, str)], sampling, on_progress))
        for row, ids in zip(rows, tokens, strict=True):
            if isinstance(ids, str):
                yield {"prompt_id": row["id"], "failure": ids}
                continue
            answer = next(outputs).outputs[0]
            yield {
                "prompt_id": row["id"],
                "text": answer.text,
                "token_ids": list(answer.token_ids),
                "logprobs": [
                    step[token].logprob for step, token in zip(answer.logprobs, answer.token_ids, strict=True)
                ],
                "finish_reason": answer.finish_reason,
            }

    def _run(
        self, prompts: list[list[int]], sampling: dict[str, Any], on_progress: Callable[[int, int], None]
    ) -> list[Any]:
        """VLLM's own loop over its steps (what `LLM.generate` does), with a sign of life in between."""
        if not prompts:
            return []
        from vllm import SamplingParams

        params = SamplingParams(**sampling, logprobs=0)
        self._llm.enqueue([{"prompt_token_ids": ids} for ids in prompts], params, use_tqdm=False)
        engine = self._llm.llm_engine
        outputs, tokens, said = [], 0, time.monotonic()
        while running := engine.get_num_unfinished_requests():
            began = time.monotonic()
            outputs += engine.step()
            now = time.monotonic()
            self.step_seconds += now - began
            tokens += running
            if now - said > HEARTBEAT_S:
                said = now
                on_progress(len(outputs), tokens)
        return sorted(outputs, key=lambda output: int(output.request_id))

    def _tokenize(self, row: dict[str, Any]) -> list[int] | str:
        """The prompt's token ids, or why there are none."""
        try:
            if self._has_template:
                ids = self._tokenizer.apply_chat_template(
                    row["messages"], add_generation_prompt=True, tokenize=True, return_dict=True
                )["input_ids"]
            else:
                ids = self._tokenizer.encode(row["text"])
        except Exception as error:  # a template may refuse a system message, say: jinja2 raises what it likes
            return f"the chat template refuses the prompt: {type(error).__name__}: {error}"
        if len(ids) >= self._context:
            return f"the prompt has {len(ids)} tokens, and the context holds {self._context} with the answer"
        return list(ids)

    def _warm_up(self) -> None:
        """One short request, thrown away: the first one pays for lazy initialisation."""
        ids = self._tokenizer.encode("a")
        self._run([list(ids)], {"temperature": 0.0, "max_tokens": 2}, lambda *_: None)

    def _describe(self, lines: list[str]) -> dict[str, Any]:
        config = self._llm.llm_engine.vllm_config
        quantized, plain = self._llm.apply_model(_count_linear_layers)[0]
        template = getattr(self._tokenizer, "chat_template", None)
        notes = [] if template else ["the checkpoint has no chat template: prompts went in as plain text"]
        return {
            "kind": "vllm",
            "mode": "eager" if config.model_config.enforce_eager else "compiled",
            "dtype": str(config.model_config.dtype).removeprefix("torch."),
            "attention": _attention(lines),
            "kernels": sorted(
                {word for line in lines for word in line.split() if word.rstrip(".,").endswith("Kernel")}
            ),
            "quantized_layers": quantized,
            "unquantized_layers": plain,
            "context": self._context,
            "tokenizer": _hash(self._tokenizer.get_vocab()),
            "chat_template": _hash(template) if template else None,
            "versions": _versions("torch", "transformers", "compressed-tensors"),
            "notes": notes,
        }


def _count_linear_layers(model: Any) -> tuple[int, int]:
    methods = [type(m.quant_method).__name__ for m in model.modules() if hasattr(m, "quant_method")]
    linear = [name for name in methods if "Linear" in name]
    plain = sum(name.startswith("Unquantized") for name in linear)
    return len(linear) - plain, plain


def _attention(lines: list[str]) -> str | None:
    """The backend that vLLM says it uses: "Using FLASH_ATTN attention backend ...", "Using CPU_ATTN backend"."""
    for line in lines:
        words = line.split()
        for word in words:
            if "attention" in line.lower() and "backend" in line.lower() and "ATTN" in word:
                return word.strip(".,'\"").removeprefix("AttentionBackendEnum.")
    return None


def _record_log(name: str) -> list[str]:
    """A list that fills with what the logger says from now on."""
    lines: list[str] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logging.getLogger(name).addHandler(Recorder())
    return lines


def _versions(*packages: str) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _reply(stream: TextIO, **message: Any) -> None:
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def _read_requests(requests: "queue.SimpleQueue[dict[str, Any] | None]", busy: threading.Event) -> None:
    """Pass requests on until stdin closes; then nobody waits for an answer, so a running one is cut short."""
    for line in sys.stdin:
        requests.put(json.loads(line))
    requests.put(None)
    if not busy.is_set():
        time.sleep(LAST_BREATH_S)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
