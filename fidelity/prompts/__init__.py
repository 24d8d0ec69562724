"""Prompt sets in the formats that people have them in, with stable ids, and a hash that identifies a set."""

from fidelity.prompts.hub import local_folder
from fidelity.prompts.ids import MadeIds, own_id
from fidelity.prompts.parsing import expected_answer, last_answer, parse_prompt, prompt_content
from fidelity.prompts.rows import JsonRow, Rows, read_jsonl, read_rows
from fidelity.prompts.sets import HUB, PROMPT_SETS, load_prompts, packaged, prompts_digest

__all__ = [
    "HUB",
    "PROMPT_SETS",
    "JsonRow",
    "MadeIds",
    "Rows",
    "expected_answer",
    "last_answer",
    "load_prompts",
    "local_folder",
    "own_id",
    "packaged",
    "parse_prompt",
    "prompt_content",
    "prompts_digest",
    "read_jsonl",
    "read_rows",
]
