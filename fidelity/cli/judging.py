"""`fidelity judge`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fidelity.cli.options import (
    COULD_NOT_JUDGE,
    OK,
    Commands,
    add_comparison,
    comparison_of,
    open_store,
    positive,
)
from fidelity.cli.progress import ProgressBar
from fidelity.cli.terminal import echo
from fidelity.errors import ConfigError

if TYPE_CHECKING:
    from fidelity.comparison.judge import Instructions
    from fidelity.config import OpenAIEngine
    from fidelity.pipeline.judge import JudgeProgress, JudgeRequest

LARGEST_FILE = 100_000
"""Bytes of the file of criteria."""


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    command = commands.add_parser("judge", help="let a language model vote on the pairs of a comparison")
    add_comparison(command)
    command.add_argument("--endpoint", required=True, metavar="URL", help="an OpenAI-compatible server's base URL")
    command.add_argument("--model", required=True, metavar="NAME", help="the judge's name on the server")
    command.add_argument("--api-key-env", metavar="VARIABLE", help="the environment variable with the API key")
    command.add_argument("--name", default="", help="the judge's name among reviewers (default: the model's)")
    command.add_argument(
        "--criteria", type=Path, metavar="FILE", help="a text that says which answer is better, in place of the default"
    )
    command.add_argument(
        "--limit", type=positive, metavar="N", help="ask about the first N prompts in random order (default: all)"
    )
    command.add_argument("--max-tokens", type=positive, metavar="N", help="the longest answer (default: 1024)")
    command.add_argument("--concurrency", type=positive, metavar="N", help="requests in flight at once (default: 64)")
    command.add_argument(
        "--patience",
        type=float,
        metavar="SECONDS",
        help="leave a pair without an answer after this long (default: 1800)",
    )
    command.add_argument("--dry-run", action="store_true", help="print the number of requests, and send none")
    command.set_defaults(command=_judge)


def _judge(chosen: argparse.Namespace) -> int:
    from fidelity.comparison.reviews import vote_summaries
    from fidelity.pipeline.judge import MAX_TOKENS, JudgeRequest, judge_pairs

    request = JudgeRequest(
        comparison=comparison_of(chosen),
        engine=_engine(chosen),
        name=chosen.name.strip(),
        instructions=_instructions(chosen.criteria),
        max_tokens=chosen.max_tokens or MAX_TOKENS,
        limit=chosen.limit,
    )
    echo(_budget(request))
    if chosen.dry_run:
        return OK
    store = open_store(request.root)
    result = judge_pairs(request, store=store, listener=ProgressBar(chosen))
    for summary in vote_summaries(request.comparison):
        if summary.judge and summary.source == request.reviewer:
            for line in (summary.in_words(), *summary.details()):
                echo(line)
    return _exit_code(result)


def _engine(chosen: argparse.Namespace) -> "OpenAIEngine":
    from pydantic import ValidationError

    from fidelity.config import OpenAIEngine, explained

    limits = {"concurrency": chosen.concurrency, "patience": chosen.patience}
    if not chosen.model.strip():
        raise ConfigError("--model: is empty; give the judge's name on the server")
    if chosen.patience is not None:  # also with a server that doesn't answer the first request
        limits["deadline"] = min(chosen.patience, OpenAIEngine.model_fields["deadline"].default)
    settings = {
        "base_url": chosen.endpoint,
        "model": chosen.model,
        "api_key_env": chosen.api_key_env,
        **{key: value for key, value in limits.items() if value is not None},
    }
    try:
        return OpenAIEngine.model_validate({"kind": "openai", **settings})
    except ValidationError as error:
        raise explained(Path("--endpoint"), error) from error


def _instructions(file: Path | None) -> "Instructions":
    from fidelity.comparison.judge import Instructions
    from fidelity.outside.paths import read_regular

    if file is None:
        return Instructions()
    try:
        text = read_regular(file, most=LARGEST_FILE).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--criteria {file}: can't be read ({error})") from error
    if not text:
        raise ConfigError(f"--criteria {file}: is empty; write which answer is better")
    return Instructions(text)


def _budget(request: "JudgeRequest") -> str:
    """Requests before any is sent."""
    of_candidate = sum(one.comparison == request.comparison.name for one in request.pending)
    equal = sum(one.equal for one in request.pending)
    return (
        f"{request.requests:,} requests to {request.engine.model} (at most {request.requests * request.max_tokens:,} "
        f"tokens): {of_candidate:,} pairs of the candidate and {len(request.pending) - of_candidate:,} of the baseline "
        f"and its control without a vote, {equal:,} of them equal and not asked, the others in both orders"
    )


def _exit_code(result: "JudgeProgress") -> int:
    if not result.failed:
        return OK
    again = f"; run again to ask about {result.passing:,} of them again" if result.passing else ""
    echo(f"fidelity: no answer of the judge on {result.failed:,} pairs ({result.reason}){again}", to=sys.stderr)
    return COULD_NOT_JUDGE
