"""What a server of vLLM can do beyond OpenAI's protocol: it says how likely it finds a continuation."""

from collections.abc import Iterator, Sequence

import numpy as np

from fidelity.engines.connection import TroubleError
from fidelity.engines.messages import ServerJson
from fidelity.engines.openai_server import OpenAIServer
from fidelity.engines.replies import json_object, token_ids
from fidelity.records import Failure, Prompt, TokenScores

NO_WHOLE_VOCABULARY = "a server sends each token's log-probability as text: leave 'exact' to the engine 'vllm'"


class VllmServer(OpenAIServer):
    """A `ForcingEngine`: `prompt_logprobs` of a prompt that ends with the continuation."""

    def score_tokens(
        self, prompts: Sequence[Prompt], continuations: Sequence[Sequence[int]], top_k: int
    ) -> Iterator[TokenScores | Failure]:
        """See `ForcingEngine.force`; the whole vocabulary is not to be had."""
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
            came[place] = outcome
            while wanted in came:
                yield came.pop(wanted)
                wanted += 1

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
            prompt.id, "/completions", body, lambda prompt_id, answer: _scores(prompt_id, answer, continuation, top_k)
        )

    def _untokenized(self, prompt: Prompt) -> ServerJson:
        if self._requests.api == "completion":
            return {"model": self._model.model, "prompt": prompt.text}
        options = {
            key: self._requests.request[key] for key in ("chat_template_kwargs",) if key in self._requests.request
        }
        messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
        return {"model": self._model.model, "messages": messages, **options}


def _tokens(_: str, answer: bytes) -> tuple[int, ...]:
    ids = token_ids(json_object(answer).get("tokens"))
    if ids is None:
        raise TroubleError("the server answered with no tokens of the prompt", "nonsense")
    return ids


def _scores(prompt_id: str, answer: bytes, continuation: list[int], top_k: int) -> TokenScores:
    """The last rows of `prompt_logprobs`, one for each token of the continuation."""
    try:
        rows = json_object(answer)["choices"][0]["prompt_logprobs"]
        rows = rows[len(rows) - len(continuation) :]
        columns = [_row(row, token, top_k) for row, token in zip(rows, continuation, strict=True)]
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise TroubleError(f"the server answered with unusable prompt_logprobs ({error!r})", "nonsense") from None
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

    VLLM counts tokens that are equally likely into a rank; here, as far as they are told, only those that are more
    likely come before a token.
    """
    entries = sorted((int(entry["rank"]), int(i), float(entry["logprob"])) for i, entry in row.items())
    top = entries[:top_k]
    own, ranked = float(row[str(token)]["logprob"]), int(row[str(token)]["rank"])
    listed = own >= top[-1][2]
    rank = 1 + sum(value > own for *_, value in top) if listed else ranked
    return own, rank, [i for _, i, _ in top], [value for *_, value in top]
