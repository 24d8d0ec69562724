"""Chats of several turns, in which the baseline's answers become the history of the later turns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from fidelity.errors import ConfigError
from fidelity.prompts.ids import MadeIds
from fidelity.prompts.parsing import is_open, parse_prompt
from fidelity.prompts.rows import JsonRow, read_rows
from fidelity.records import Generation, Message, Prompt

NO_CALL = "the answer before has no call that the next tool's result could belong to"
UNNAMED_CALL = "the call that the next result answers"
"""Stands for the id of a call of an open turn, which isn't known before the turn is answered."""


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat with turns that a model is to answer."""

    prompt: Prompt
    """Its id, category, tools and expected answer, with the given turns."""
    turns: tuple[Message | None, ...]
    """All turns; None is an open turn of the assistant. The last one is open."""

    def next_prompt(self, answers: Sequence[Generation]) -> Prompt | str | None:
        """The prompt of the next open turn, or why the chat ends before it; None if all turns are answered.

        Its id is `ID#1` for the first open turn, `ID#2` for the second, and so on. The last one has the chat's
        expected answer.

        Args:
            answers: The answers to the open turns before, in order.
        """
        history: list[Message] = []
        given, own, ids, waiting = iter(answers), 0, dict[str, str](), list[str]()
        for place, turn in enumerate(self.turns):
            answer = next(given, None) if turn is None else None
            if turn is None and answer is None:
                expected = self.prompt.expected if place == len(self.turns) - 1 else None
                id_ = f"{self.prompt.id}#{len(answers) + 1}"
                return replace(self.prompt, id=id_, content=tuple(history), expected=expected)
            if answer:
                turn = _turn_of(answer)
                waiting = [f"call_{_calls(history) + number}" for number in range(len(turn.tool_calls))]
            elif turn and turn.tool_calls:
                ids |= {f"call_{own + n}": f"call_{_calls(history) + n}" for n in range(len(turn.tool_calls))}
                own += len(turn.tool_calls)
            elif turn and turn.tool_call_id == UNNAMED_CALL:
                if not waiting:
                    return NO_CALL
                turn = replace(turn, tool_call_id=waiting.pop(0))
            elif turn and turn.tool_call_id is not None:
                if turn.tool_call_id not in ids:
                    return NO_CALL
                turn = replace(turn, tool_call_id=ids[turn.tool_call_id])
            history.extend([turn] if turn else [])
        return None


def load_chats(path: Path, *, limit: int | None = None) -> tuple[Chat, ...]:
    """Read chats: `messages` with open turns `{"role": "assistant"}`, or MT-Bench's `turns`, each of which is answered.

    A chat that ends with a turn of the user or of a tool is open at its end, too. A result of a tool without a
    `tool_call_id` belongs to the next call of the open turn before it.

    Raises:
        ConfigError: A row is no such chat, or an id is used twice; names the line.
    """
    made = MadeIds()
    chats: dict[str, Chat] = {}
    for where, row in read_rows(path)[:limit]:
        chat = _chat(row, where, made)
        if chat.prompt.id in chats:
            raise ConfigError(f"{where}: the id {chat.prompt.id!r} is used twice; make ids unique")
        chats[chat.prompt.id] = chat
    if not chats:
        raise ConfigError(f"{path}: contains no chats; write one JSON object with 'id' and 'messages' per line")
    return tuple(chats.values())


def _chat(row: JsonRow, where: str, made: MadeIds) -> Chat:
    turns = list(_turns(row, where))
    if not is_open(turns[-1]):
        turns.append({"role": "assistant"})
    if any(is_open(a) and is_open(b) for a, b in pairwise(turns)) or is_open(turns[0]):
        raise ConfigError(f"{where}: an open turn of the assistant must follow a turn of the user or of a tool")
    rest = {key: value for key, value in row.items() if key not in ("turns", "messages")}
    unnamed = [_is_unnamed_result(turn) for turn in turns]
    given = [
        {**turn, "role": "user"} if is_unnamed else turn
        for turn, is_unnamed in zip(turns, unnamed, strict=True)
        if not is_open(turn)
    ]
    prompt = parse_prompt({**rest, "prompt": given}, where=where, made=made)
    messages = iter(prompt.messages)
    all_turns = tuple(
        None if is_open(turn) else _named(next(messages), is_unnamed=is_unnamed)
        for turn, is_unnamed in zip(turns, unnamed, strict=True)
    )
    if all(message is None or message.role == "system" for message in all_turns[: all_turns.index(None)]):
        raise ConfigError(f"{where}: an open turn of the assistant must follow a turn of the user or of a tool")
    return Chat(prompt, all_turns)


def _turns(row: JsonRow, where: str) -> Iterator[JsonRow]:
    match row:
        case {"turns": [_, *_] as questions} if all(isinstance(question, str) for question in questions):
            for question in questions:
                yield from ({"role": "user", "content": question}, {"role": "assistant"})
        case {"messages": [_, *_] as turns} if all(isinstance(turn, dict) for turn in turns):
            yield from turns
            role = turns[-1].get("role")
            if not is_open(turns[-1]) and role not in ("user", "tool"):
                end = "a given answer" if role == "assistant" else f"a turn of the role {str(role)[:80]!r}"
                raise ConfigError(
                    f'{where}: the chat ends with {end}; write {{"role": "assistant"}} for each turn that the '
                    "model is to answer"
                )
        case _:
            raise ConfigError(f"{where}: a chat needs 'messages' (or MT-Bench's 'turns')")


def _is_unnamed_result(turn: JsonRow) -> bool:
    return turn.get("role") == "tool" and turn.get("tool_call_id") is None


def _named(message: Message, *, is_unnamed: bool) -> Message:
    return Message("tool", message.content, tool_call_id=UNNAMED_CALL) if is_unnamed else message


def _turn_of(answer: Generation) -> Message:
    """An answer as a turn of the assistant: its text without the JSON of its calls, which ends it."""
    if not answer.tool_calls:
        return Message("assistant", answer.text)
    return Message("assistant", answer.text.rpartition('{"tool_calls": [')[0].rstrip(), answer.tool_calls)


def _calls(history: Sequence[Message]) -> int:
    return sum(len(message.tool_calls) for message in history)
