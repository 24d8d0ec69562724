"""The frozen records that all layers share: prompts, generations, failures, pairs and columns."""

from fidelity.records.columns import Better, Column, Floats, Side, SummaryKind
from fidelity.records.engines import EngineInfo, LayerGroup, MachineLoad
from fidelity.records.pairs import Pair, PromptTokens, Sameness, SharedAnswers
from fidelity.records.prompts import Message, Prompt
from fidelity.records.responses import Failure, Generation, Response
from fidelity.records.token_scores import TokenScores, every_id

__all__ = [
    "Better",
    "Column",
    "EngineInfo",
    "Failure",
    "Floats",
    "Generation",
    "LayerGroup",
    "MachineLoad",
    "Message",
    "Pair",
    "Prompt",
    "PromptTokens",
    "Response",
    "Sameness",
    "SharedAnswers",
    "Side",
    "SummaryKind",
    "TokenScores",
    "every_id",
]
