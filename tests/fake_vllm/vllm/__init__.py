"""A fake vLLM that answers at once, for tests of everything around it; put this folder on PYTHONPATH.

Like the real BF16 engine, its answers depend on how many prompts are in the batch, and on nothing else but the prompt,
and above temperature 0 the seed.
Words in a prompt make it misbehave: SIGILL, SIGSEGV, SIGKILL, HANG, SLOW (for FAKE_VLLM_SLOW_S), REFUSED (by the
template), LONG (beyond the context), DIES ALONE (when it is timed). So do values of `quantization`: mxfp4 (no kernel),
SIGILL, hangs, works (for 3 s, while loading), aborts (at its end), DIES (in teacher forcing). FAKE_VLLM_LONGEST is the
longest answer in tokens (16). FAKE_VLLM_HELD is a file: an engine whose max_model_len is set answers four SLOW prompts,
and the others once that file exists.
"""

import atexit
import hashlib
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

sys.stdout.write("the fake vLLM is being loaded\n")


_INVARIANT = os.environ.get("VLLM_BATCH_INVARIANT") == "1" and "FAKE_VLLM_NOT_INVARIANT" not in os.environ


class SamplingParams:
    def __init__(
        self, *, max_tokens, temperature, logprobs=None, prompt_logprobs=None, ignore_eos=False, seed=None, **others
    ):
        if "repeats" in others:
            raise TypeError("Unexpected keyword argument 'repeats'")
        self.max_tokens, self.prompt_logprobs, self.alone = max_tokens, prompt_logprobs, ignore_eos
        self.logprobs = logprobs
        self.seed = seed if temperature else None


class _Tokenizer:
    chat_template = "{{ messages }}"
    held, slow = False, 0

    def get_vocab(self):
        return {"a": 0}

    def encode(self, text):
        if "LONG" in text:
            return list(range(10_000))
        return [len(word) for word in text.split()] + [sum(text.encode()) % 997]

    def decode(self, ids):
        return "".join(f" w{token}" for token in ids)

    def apply_chat_template(self, messages, *, add_generation_prompt, tokenize, return_dict=False):
        text = " ".join(m["content"] for m in messages)
        if not tokenize:
            return text + " assistant:"
        if "REFUSED" in text:
            raise ValueError("System role not supported")
        for word in ("SIGILL", "SIGSEGV", "SIGKILL"):
            if word in text:
                os.kill(os.getpid(), getattr(signal, word))
        if "HANG" in text:
            time.sleep(3600)
        if "SLOW" in text:
            time.sleep(float(os.environ.get("FAKE_VLLM_SLOW_S", "0.15")))
            self.slow += 1
            while self.held and self.slow > 4 and not Path(os.environ["FAKE_VLLM_HELD"]).exists():
                time.sleep(0.05)
        return {"input_ids": self.encode(text)}


class UnquantizedLinearMethod:
    pass


class CompressedTensorsLinearMethod:
    def __init__(self):
        self.kernel = CPUInt8ScaledMMLinearKernel()


class CPUInt8ScaledMMLinearKernel:
    config = None


class RowParallelLinear:
    def __init__(self, method):
        self.quant_method = method
        self.weight = SimpleNamespace(dtype="torch.bfloat16")


class _Model:
    """Thirty linear layers; `quantization="compressed-tensors"` quantizes all but one of them."""

    def __init__(self, quantization):
        self.quantization = quantization or ""
        quantized = 29 if quantization == "compressed-tensors" else 0
        methods = [CompressedTensorsLinearMethod() if n < quantized else UnquantizedLinearMethod() for n in range(30)]
        self._layers = [RowParallelLinear(method) for method in methods]

    def modules(self):
        return iter(self._layers)

    def parameters(self):
        import torch

        return iter([torch.zeros(1)])

    def compute_logits(self, hidden_states):
        """The hidden states are the logits: a head of the identity."""
        return hidden_states


class _ModelConfig:
    def __init__(self, max_model_len):
        self.max_model_len, self.max_logprobs = max_model_len, 20

    def get_hidden_size(self):
        return 50

    @property
    def dtype(self):
        import torch

        return torch.float32


class LLM:
    def __init__(
        self,
        model,
        *,
        enforce_eager=False,
        max_model_len=None,
        dtype="bfloat16",
        quantization=None,
        kv_cache_dtype="auto",
        max_num_seqs=64,
        **others,
    ):
        if quantization == "mxfp4":
            raise RuntimeError("no kernel for mxfp4")
        if quantization == "SIGILL":
            os.kill(os.getpid(), signal.SIGILL)
        if quantization == "hangs":
            subprocess.Popen(["sleep", "3600"])  # a worker of its own, which must go too
            time.sleep(3600)
        if quantization == "works":
            until = time.monotonic() + 3
            while time.monotonic() < until:
                pass
        if quantization == "aborts":
            atexit.register(os.abort)
        _Tokenizer.held = max_model_len is not None and "FAKE_VLLM_HELD" in os.environ
        self._model = _Model(quantization)
        self._waiting, self._next, self._exact = [], 0, dtype == "float32" or _INVARIANT
        self.llm_engine = SimpleNamespace(
            model_config=_ModelConfig(max_model_len or 512),
            model_executor=object(),
            vllm_config=SimpleNamespace(
                model_config=SimpleNamespace(enforce_eager=enforce_eager, dtype=f"torch.{dtype}"),
                cache_config=SimpleNamespace(cache_dtype=kv_cache_dtype),
                compilation_config=SimpleNamespace(compilation_time=0.0),
                scheduler_config=SimpleNamespace(max_num_seqs=max_num_seqs),
            ),
            add_request=lambda name, prompt, params: self._waiting.append((name, prompt["prompt_token_ids"], params)),
            abort_request=lambda names: self._waiting.clear(),
            get_num_unfinished_requests=lambda: len(self._waiting),
            step=self._step,
        )

    _dies_alone = sum(b"DIES ALONE") % 997

    def get_tokenizer(self):
        return _Tokenizer()

    def apply_model(self, function):
        return [function(self._model)]

    def reset_prefix_cache(self):
        pass

    def enqueue(self, prompts, params, use_tqdm):
        each = params if isinstance(params, list) else [params] * len(prompts)
        pairs = zip(prompts, each, strict=True)
        self._waiting += [(self._next + i, p["prompt_token_ids"], own) for i, (p, own) in enumerate(pairs)]
        self._next += len(prompts)

    def _step(self):
        if self._waiting and self._waiting[0][2].alone:
            return self._one_token()
        batch, self._waiting = self._waiting, []
        noise = 0 if self._exact else len(batch)
        return [self._answer(id_, ids, params, noise) for id_, ids, params in reversed(batch)]

    def _one_token(self):
        """Of a request that is timed: alone in the engine, token by token, and to the last."""
        ((id_, ids, params),) = self._waiting
        if self._dies_alone in ids:
            os.kill(os.getpid(), signal.SIGILL)
        time.sleep(0.00001 * len(ids))
        params.max_tokens -= 1
        self._waiting = self._waiting if params.max_tokens else []
        return [SimpleNamespace(request_id=str(id_), outputs=[SimpleNamespace(token_ids=[1])])]

    def _answer(self, id_, ids, params, noise):
        digest = hashlib.sha256(repr(ids if params.seed is None else (ids, params.seed)).encode()).digest()
        longest = min(params.max_tokens, int(os.environ.get("FAKE_VLLM_LONGEST", "16")))
        tokens = [byte % 50 for byte in (digest * (longest // len(digest) + 1))[:longest]]
        if digest[0] % 2:  # every other prompt is near a tie, and the batch decides
            tokens[len(tokens) // 2 :] = [(token + noise) % 50 for token in tokens[len(tokens) // 2 :]]
        logprobs = [{token: SimpleNamespace(logprob=-0.125 * (1 + token))} for token in tokens]
        logprobs = None if params.logprobs is None else logprobs
        answer = SimpleNamespace(
            text=" ".join(f"w{token}" for token in tokens), token_ids=tokens, logprobs=logprobs, finish_reason="length"
        )
        prompt_logprobs = (
            None if params.prompt_logprobs is None else self._score_continuation(ids, params.prompt_logprobs, noise)
        )
        return SimpleNamespace(request_id=str(id_), outputs=[answer], prompt_logprobs=prompt_logprobs)

    def _score_continuation(self, ids, top_k, noise):
        """A vocabulary of 50; each token's logit depends on the preceding tokens, and a little on the batch."""
        if "DIES" in self._model.quantization:
            os.kill(os.getpid(), signal.SIGKILL)
        flat, rows = SimpleNamespace(start_indices=[0], end_indices=[0], token_ids=[], logprobs=[], ranks=[]), []
        for place in range(1, len(ids)):
            digest = hashlib.sha512(repr(ids[max(0, place - 8) : place]).encode()).digest()
            logits = [digest[n] / 32 + noise * digest[n + 10] / 20_000 for n in range(50)]
            total = math.log(sum(map(math.exp, logits)))
            own = ids[place] % 50
            order = sorted(range(50), key=lambda n: -logits[n])
            shown = [own, *order[: 50 if top_k < 0 else top_k]]
            flat.start_indices.append(len(flat.token_ids))
            flat.token_ids += [ids[place], *shown[1:]]
            flat.logprobs += [logits[n] - total for n in shown]
            flat.ranks += [1 + order.index(own), *range(1, len(shown))]
            flat.end_indices.append(len(flat.token_ids))
            rows.append(logits)
        if "compute_logits" in vars(self._model):  # somebody wants to know the hidden states
            import torch

            self._model.compute_logits(torch.tensor(rows))
        return flat
