"""Chats filled with a baseline's answers, so that all runs answer each turn after the same history."""

from collections.abc import Sequence
from dataclasses import dataclass

from fidelity.comparison.answers import answers_of
from fidelity.config import Reasoning, RecordedEngine, RunConfig, Sampling, StoredEngine
from fidelity.errors import ConfigError
from fidelity.prompts.chats import Chat
from fidelity.records import Failure, Generation, Prompt
from fidelity.runs.generate import generate_jobs
from fidelity.runs.jobs import jobs_of
from fidelity.runs.listener import Listener
from fidelity.store.store import Store


@dataclass(frozen=True, slots=True)
class FilledChats:
    """The prompts of all open turns, and why some chats ended early."""

    prompts: tuple[Prompt, ...]
    """In the order of the chats, each with the baseline's answers as its history."""
    ended: dict[str, str]
    """The reason by the id of the first turn that couldn't be asked or answered."""
    again: bool
    """Whether a turn failed because of a server or the network, so that the next call asks it again."""


def fill_chats(config: RunConfig, chats: Sequence[Chat], *, store: Store, listener: Listener) -> FilledChats:
    """Answer the open turns of chats with a baseline: all first turns in one run of the store, then all second ones.

    The thinking of an answer is left out of the history, as chat templates do. A chat ends after a turn without an
    answer, which is asked in the comparison, too.

    Raises:
        ConfigError: The baseline's engine can't answer new prompts.
        FidelityError: A run can't be generated.
    """
    if isinstance(config.engine, RecordedEngine | StoredEngine):
        raise ConfigError(
            f"{config.file_or_name}: engine.kind: {config.engine.kind} can't answer new prompts; name an engine"
        )
    answers: dict[str, list[Generation]] = {chat.prompt.id: [] for chat in chats}
    asked: dict[str, list[Prompt]] = {chat.prompt.id: [] for chat in chats}
    ended: dict[str, str] = {}
    again = False
    running = list(chats)
    while running:
        prompts: dict[str, Prompt] = {}
        for chat in running:
            id_ = chat.prompt.id
            match chat.next_prompt(answers[id_]):
                case Prompt() as prompt:
                    prompts[id_] = prompt
                    asked[id_].append(prompt)
                case str() as reason:
                    ended[f"{id_}#{len(asked[id_]) + 1}"] = reason
        if not prompts:
            break
        outcomes = _answered(config, tuple(prompts.values()), store, listener)
        for id_, prompt in prompts.items():
            match outcomes[prompt.id]:
                case Failure(reason=reason, cause=cause):
                    ended[prompt.id] = reason
                    again |= cause == "world"
                case answer:
                    answers[id_].append(answer)
        running = [chat for chat in running if chat.prompt.id in prompts and prompts[chat.prompt.id].id not in ended]
    return FilledChats(tuple(prompt for turns in asked.values() for prompt in turns), ended, again)


def _answered(
    config: RunConfig, prompts: tuple[Prompt, ...], store: Store, listener: Listener
) -> dict[str, Generation | Failure]:
    """The baseline's answer to each prompt."""
    sampling = (config.sampling or Sampling()).model_copy(update={"repeats": 1})
    alone = config.model_copy(update={"prompts": None, "control": "none", "kl": "none", "sampling": sampling})
    jobs = jobs_of(alone, store=store, prompts=prompts, as_baseline=True)
    (run,) = generate_jobs(jobs, store, listener)
    return {outcome.prompt_id: outcome for outcome in answers_of(run, config.reasoning or Reasoning())}
