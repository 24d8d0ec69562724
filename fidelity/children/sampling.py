"""From logits to tokens, for engines that don't sample themselves.

The order is vLLM's: repetition penalty, temperature, min-p, top-k, top-p, then a draw. The reported logprobs are those
of the model's original logits.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fidelity.children.answering import ReportProgress
from fidelity.children.arrays import packed
from fidelity.children.hidden_states import hidden_record
from fidelity.children.prompting import tokenized
from fidelity.children.wire import JsonRecord, PromptRow, SamplingFields

NEARLY_ZERO = 1e-5
"""A temperature below this is greedy, as in vLLM."""
HALF_A_CHARACTER = 4
"""The maximum number of tokens of an incomplete UTF-8 character."""


class Answer:
    """One prompt's unfinished answer."""

    def __init__(
        self,
        prompt: Sequence[int],
        sampling: SamplingFields,
        *,
        ends: frozenset[int],
        context: int,
        decode: Callable[[list[int]], str],
    ) -> None:
        """Start with an empty answer.

        Args:
            prompt: The prompt's token ids.
            sampling: The fields of the run's sampling.
            ends: The end tokens.
            context: The maximum number of tokens of prompt and answer together.
            decode: Turns token ids into text, without special tokens.
        """
        import torch

        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.finish_reason: str | None = None
        self._prompt, self._sampling, self._ends, self._decode = list(prompt), sampling, ends, decode
        self._longest = min(int(sampling["max_tokens"]), context - len(self._prompt))
        self._text: str | None = None
        self._draws = torch.Generator().manual_seed(int(sampling["seed"]))

    @property
    def text(self) -> str:
        """The answer up to a stop string, without an incomplete character at its end, as in vLLM."""
        if self._text is not None:
            return self._text
        texts = [self._decode(self.token_ids[: len(self.token_ids) - left_out]) for left_out in range(HALF_A_CHARACTER)]
        return next((text for text in texts if not text.endswith("\ufffd")), texts[0])

    def choose(self, logits: Any) -> int:
        """Choose and append the next token, from the logits (vocabulary,) after the answer so far."""
        import torch

        raw = logits.float()
        weighed = self._weighed(raw)
        if self._sampling["temperature"] < NEARLY_ZERO:
            token = int(weighed.argmax())
        else:
            token = int(torch.multinomial(weighed.softmax(-1).cpu(), 1, generator=self._draws))
        self.token_ids.append(token)
        self.logprobs.append(float(raw[token] - raw.logsumexp(-1)))
        self._look_for_the_end(token)
        return token

    def _weighed(self, raw: Any) -> Any:
        """The processed logits from which the token is chosen."""
        import torch

        how, logits = self._sampling, raw
        if how["repetition_penalty"] != 1:
            seen = torch.tensor(sorted({*self._prompt, *self.token_ids}), device=raw.device)
            penalty = torch.where(raw[seen] > 0, 1 / how["repetition_penalty"], how["repetition_penalty"])
            logits = raw.index_copy(0, seen, raw[seen] * penalty)
        if how["temperature"] < NEARLY_ZERO:
            return logits
        logits = logits / how["temperature"]
        if how["min_p"] > 0:
            probabilities = logits.softmax(-1)
            logits = logits.masked_fill(probabilities < how["min_p"] * probabilities.max(), -torch.inf)
        if 0 < how["top_k"] < len(logits):
            logits = logits.masked_fill(logits < logits.topk(how["top_k"]).values[-1], -torch.inf)
        if how["top_p"] < 1:
            ascending, order = logits.sort()
            unlikely = ascending.softmax(-1).cumsum(-1) <= 1 - how["top_p"]
            unlikely[-1] = False
            logits = logits.masked_fill(torch.zeros_like(unlikely).scatter(0, order, unlikely), -torch.inf)
        return logits

    def _look_for_the_end(self, token: int) -> None:
        if token in self._ends:
            self.finish_reason = "stop"
            return
        if self._sampling["stop"]:
            text = self._decode(self.token_ids)
            stops = [place for stop in self._sampling["stop"] if (place := text.find(stop)) >= 0]
            if stops:
                self.finish_reason, self._text = "stop", text[: min(stops)]
                return
        if len(self.token_ids) >= self._longest:
            self.finish_reason = "length"

    def record(self, prompt_id: str) -> JsonRecord:
        """The arguments of `Generation`."""
        return {
            "prompt_id": prompt_id,
            "text": self.text,
            "token_ids": self.token_ids,
            "logprobs": self.logprobs,
            "finish_reason": self.finish_reason,
        }


class DrivenModel(ABC):
    """A model that only returns logits, and scores given tokens by them."""

    _tokenizer: Any
    """A tokenizer with transformers' interface."""
    _context: int
    """The maximum number of tokens of prompt and answer together."""

    @abstractmethod
    def _logits(self, prompt: list[int], continuation: list[int]) -> Any:
        """The logits (n, vocabulary) of a continuation of n token ids, each row from just before its token."""

    def _hidden_states(self, prompt: list[int], continuation: list[int]) -> tuple[Any, Any]:
        """What the model's head reads (n, width), and the logits; the logits are both if there is no head."""
        logits = self._logits(prompt, continuation)
        return logits.float(), logits

    def score_tokens(
        self,
        rows: list[PromptRow],
        continuations: list[list[int]],
        top_k: int,
        on_progress: ReportProgress,
        exact: bool = False,
    ) -> Iterator[JsonRecord]:
        """See `answering.Model`. A continuation is cut if it exceeds the context."""
        for number, (row, continuation) in enumerate(zip(rows, continuations, strict=True)):
            ids = tokenized(self._tokenizer, row, self._context)
            if isinstance(ids, str):
                yield {"prompt_id": row["id"], "failure": ids}
                continue
            scored = continuation[: self._context - len(ids)]
            hidden, logits = self._hidden_states(ids, scored) if exact else (None, self._logits(ids, scored))
            record = token_score_record(row["id"], scored, logits, top_k)
            yield record if hidden is None else {**record, "hidden": hidden_record(hidden.cpu())}
            on_progress(number + 1, 0)

    def write_head(self, file: str, on_progress: ReportProgress) -> Iterator[JsonRecord]:
        """See `answering.Model`."""
        yield {"are_logits": True}

    def token_texts(self, ids: list[int], on_progress: ReportProgress) -> Iterator[JsonRecord]:
        """Yield one record with the text of each of these tokens."""
        yield {"texts": [self._tokenizer.decode([id_], skip_special_tokens=False) for id_ in ids]}


def token_score_record(prompt_id: str, continuation: Sequence[int], logits: Any, top_k: int) -> JsonRecord:
    """The record of a scored continuation (see `answering.Model`).

    Args:
        prompt_id: The id of its prompt.
        continuation: Its n token ids.
        logits: The model's (n, vocabulary), each row from just before its token.
        top_k: The number of most likely tokens to return; -1 for the whole vocabulary.
    """
    import torch

    logprobs = logits.float().log_softmax(-1).cpu()
    own = logprobs.gather(1, torch.tensor(list(continuation), dtype=torch.int64).unsqueeze(1))
    top = logprobs.topk(min(top_k, logprobs.shape[1])) if top_k >= 0 else None
    return {
        "prompt_id": prompt_id,
        "token_ids": packed(list(continuation), "<i4"),
        "logprobs": packed(own.squeeze(1).numpy(), "<f4"),
        "ranks": packed((logprobs > own).sum(1).add(1).numpy(), "<i4"),
        "top_ids": None if top is None else packed(top.indices.numpy(), "<i4"),
        "top_logprobs": packed((logprobs if top is None else top.values).numpy(), "<f4"),
    }
