"""The frozen records that all layers share: prompts, generations, failures, pairs and columns."""

from fidelity.records.by_prompt import PromptIds, PromptNumbers, PromptValue, PromptValues
from fidelity.records.columns import Better, Column, SummaryKind
from fidelity.records.engines import EngineInfo, LayerGroup, MachineLoad
from fidelity.records.expected import EXPECTED, LETTERS, ExpectedAnswer, Judgment
from fidelity.records.numbers import CODES, ColumnNumbers, Floats, Side, Sides
from fidelity.records.pairs import Pair, PromptTokens, Sameness, SharedAnswers
from fidelity.records.prompts import Message, Prompt, messages_of, plain_turns
from fidelity.records.responses import Failure, Generation, Response
from fidelity.records.texts import PackedTexts, are_distinct
from fidelity.records.token_scores import STORED_AS, Head, HiddenStates, ModelDtype, TokenScores, every_id
from fidelity.records.tool_calls import ToolCall

__all__ = [
    "CODES",
    "EXPECTED",
    "LETTERS",
    "STORED_AS",
    "Better",
    "Column",
    "ColumnNumbers",
    "EngineInfo",
    "ExpectedAnswer",
    "Failure",
    "Floats",
    "Generation",
    "Head",
    "HiddenStates",
    "Judgment",
    "LayerGroup",
    "MachineLoad",
    "Message",
    "ModelDtype",
    "PackedTexts",
    "Pair",
    "Prompt",
    "PromptIds",
    "PromptNumbers",
    "PromptTokens",
    "PromptValue",
    "PromptValues",
    "Response",
    "Sameness",
    "SharedAnswers",
    "Side",
    "Sides",
    "SummaryKind",
    "TokenScores",
    "ToolCall",
    "are_distinct",
    "every_id",
    "messages_of",
    "plain_turns",
]
