"""Proving that the answers of a run with batch-invariant kernels don't depend on the batch."""

from collections.abc import Mapping, Sequence

from fidelity.config import Sampling
from fidelity.engines import Engine
from fidelity.records import Failure, Generation, Response
from fidelity.runs.jobs import PROOF_PROMPTS, Asked, Job
from fidelity.store.manifests import Invariance

PROOF_TOKENS = 64
"""The number of tokens of each of these answers that are generated again."""


def prove(job: Job, engine: Engine, outcomes: Sequence[Response]) -> Invariance:
    """Answer some prompts again, each alone in the engine, and compare with the run's answers.

    Args:
        job: The run.
        engine: Its engine.
        outcomes: The run's answers. Those with log-probabilities were generated in a full engine.

    Raises:
        EngineError: The engine died.
    """
    asked = {(one.prompt.id, one.repeat): one for chunk in job.plan for one in chunk}
    sample = [one for one in outcomes if isinstance(one, Generation) and one.logprobs][:PROOF_PROMPTS]
    sampling = job.sampling.model_copy(update={"max_tokens": min(PROOF_TOKENS, job.sampling.max_tokens)})
    compared = [_compared(one, _alone(asked, one, engine, sampling)) for one in sample]
    return Invariance(
        prompts=len(compared),
        tokens=sum(tokens for tokens, _, _ in compared),
        same_tokens=sum(same for _, same, _ in compared),
        same_logprobs=sum(same for _, _, same in compared),
    )


def _alone(asked: Mapping[tuple[str, int], Asked], one: Generation, engine: Engine, sampling: Sampling) -> Response:
    prompt, repeat = asked[one.prompt_id, one.repeat]
    (outcome,) = engine.generate([prompt], sampling, [repeat])
    return outcome


def _compared(in_batch: Generation, alone: Response) -> tuple[int, bool, bool]:
    """The number of tokens, whether they are equal, and whether their log-probabilities are."""
    if isinstance(alone, Failure) or alone.token_ids is None or in_batch.token_ids is None:
        return 0, False, False
    tokens = in_batch.token_ids[:PROOF_TOKENS] == alone.token_ids  # an answer that ends earlier is another one
    logprobs = (in_batch.logprobs or ())[:PROOF_TOKENS] == alone.logprobs
    return len(alone.token_ids), tokens, tokens and logprobs
