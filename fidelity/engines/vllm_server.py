"""vLLM servers, which can score the tokens of a continuation in addition to OpenAI's protocol."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from fidelity.children.wire import HeadFields
from fidelity.engines.bodies import LARGEST
from fidelity.engines.messages import ServerJson
from fidelity.engines.openai_server import OpenAIServer
from fidelity.engines.replies import json_object, token_ids
from fidelity.engines.trouble import TroubleError
from fidelity.records import Failure, Prompt, TokenScores

NO_WHOLE_VOCABULARY = "a server would send the whole vocabulary as text: use the engine 'vllm' for 'exact'"

BYTES_OF_AN_ALTERNATIVE = 256
"""What a server writes at most for one of a position's most likely tokens."""


class VllmServer(OpenAIServer):
    """A `TokenScoringEngine` that uses `prompt_logprobs` of a prompt that ends with the continuation."""

    def score_tokens(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[int]], top_k: int, *, exact: bool = False
    ) -> Iterator[TokenScores | Failure]:
        """See `TokenScoringEngine.score_tokens`; the whole vocabulary and hidden states are not supported."""
        if top_k < 0:
            yield from (Failure(prompt.id, NO_WHOLE_VOCABULARY) for prompt in prompts)
            return
        came: dict[int, TokenScores | Failure] = {}
        wanted = 0
        work = self._all(
            len(prompts),
            lambda n: self._score_continuation(prompts[n], list(map(int, continuations[n])), top_k),
            self.at_once,
        )
        for place, outcome in work:
            if exact and isinstance(outcome, TokenScores):
                outcome = replace(outcome, hidden=NO_WHOLE_VOCABULARY)
            came[place] = outcome
            while wanted in came:
                yield came.pop(wanted)
                wanted += 1

    def write_head(self, file: Path) -> HeadFields | str | None:
        """See `TokenScoringEngine.write_head`."""
        return NO_WHOLE_VOCABULARY

    async def _score_continuation(self, prompt: Prompt, continuation: list[int], top_k: int) -> TokenScores | Failure:
        begins = await self._patiently(
            prompt.id, self._line.connection.beside("/tokenize"), self._untokenized(prompt), _tokens
        )
        if isinstance(begins, Failure):
            return begins
        body = {
            "model": self._model.model,
            "prompt": [*begins, *continuation],
            "prompt_logprobs": top_k,
            "max_tokens": 1,
            "temperature": 0,
        }
        return await self._patiently(
            prompt.id,
            "/completions",
            body,
            lambda prompt_id, answer: _scores(prompt_id, answer, continuation, top_k),
            most=LARGEST + BYTES_OF_AN_ALTERNATIVE * (top_k + 1) * (len(begins) + len(continuation)),
        )

    def _untokenized(self, prompt: Prompt) -> ServerJson:
        if self._requests.api == "completion":
            return {"model": self._model.model, "prompt": prompt.text}
        options = {
            key: self._requests.request[key] for key in ("chat_template_kwargs",) if key in self._requests.request
        }
        offered = {"tools": prompt.offer["tools"]} if prompt.tools else {}
        return {"model": self._model.model, "messages": prompt.chat, **offered, **options}


def _tokens(_: str, answer: bytes) -> tuple[int, ...]:
    ids = token_ids(json_object(answer).get("tokens"))
    if ids is None:
        raise TroubleError("the server returned no tokens of the prompt", "nonsense")
    return ids


def _scores(prompt_id: str, answer: bytes, continuation: list[int], top_k: int) -> TokenScores:
    """The last rows of `prompt_logprobs`, one per token of the continuation."""
    try:
        rows = json_object(answer)["choices"][0]["prompt_logprobs"]
        rows = rows[len(rows) - len(continuation) :]
        columns = [_row(row, token, top_k) for row, token in zip(rows, continuation, strict=True)]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise TroubleError(f"the server returned invalid prompt_logprobs ({error!r})", "nonsense") from None
    n = len(columns)
    return TokenScores(
        prompt_id=prompt_id,
        token_ids=np.array(continuation, np.int32),
        logprobs=np.array([own for own, *_ in columns], np.float32),
        ranks=np.array([rank for _, rank, *_ in columns], np.int32),
        top_ids=np.array([ids for *_, ids, _ in columns], np.int32).reshape(n, top_k if n else 0),
        top_logprobs=np.array([values for *_, values in columns], np.float32).reshape(n, top_k if n else 0),
    )


def _row(row: dict[str, ServerJson], token: int, top_k: int) -> tuple[float, int, list[int], list[float]]:
    """One token's logprob and rank, and the most likely tokens.

    VLLM counts equally likely tokens into a rank; here only more likely tokens count, as far as they are known.
    """
    entries = sorted((int(entry["rank"]), int(i), float(entry["logprob"])) for i, entry in row.items())
    top = entries[:top_k]
    own, ranked = float(row[str(token)]["logprob"]), int(row[str(token)]["rank"])
    listed = own >= top[-1][2]
    rank = 1 + sum(value > own for *_, value in top) if listed else ranked
    return own, rank, [i for _, i, _ in top], [value for *_, value in top]
