"""`fidelity show`: the pairs of a comparison with a word diff, worst first."""

import argparse
import json
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

from fidelity.cli.options import OK, STANDARD_OUTPUT, Commands, add_comparison, add_json, comparison_of, positive, write
from fidelity.cli.terminal import open_console
from fidelity.errors import ConfigError
from fidelity.schema import nearest
from fidelity.text.conflicts import KINDS

if TYPE_CHECKING:
    from rich.text import Text

    from fidelity.comparison.results import ComparisonSet, Scores
    from fidelity.records import Pair
    from fidelity.report.diff import Piece

WORST = 3
CONTEXT = 160
"""The number of shared characters to show on each side of a change."""


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    show = commands.add_parser("show", help="print pairs of a comparison with a word diff, conflicts first")
    add_comparison(show)
    which = show.add_mutually_exclusive_group()
    which.add_argument(
        "--worst", type=positive, default=WORST, metavar="N", help=f"the N worst pairs (default: {WORST})"
    )
    which.add_argument("--prompt", metavar="ID", help="the pairs of this prompt, in full")
    which.add_argument(
        "--conflict", choices=KINDS, metavar="KIND", help=f"all pairs with a conflict of this kind: {', '.join(KINDS)}"
    )
    add_json(show, "the chosen pairs with their prompts, conflicts and scores")
    show.set_defaults(command=_show)


def _show(chosen: argparse.Namespace) -> int:
    from rich.text import Text

    from fidelity.comparison.stored import load_comparison
    from fidelity.report.conflicts import conflict_headlines
    from fidelity.report.expected import expected_details, expected_headlines
    from fidelity.report.votes import vote_lines

    result = load_comparison(comparison_of(chosen))
    (candidate,) = result.candidates
    places = _chosen(result, chosen)
    pairs = [candidate.pairing.pairs[place] for place in places]
    if chosen.json:
        write(chosen.json, json.dumps(_as_json(candidate, places, pairs), indent=2, ensure_ascii=False) + "\n")
        if chosen.json == STANDARD_OUTPUT:
            return OK
    console = open_console(highlight=False)
    expected = (*expected_headlines(result), *expected_details(result))
    for headline in (*expected, *vote_lines(result), *conflict_headlines(result)):
        console.print(Text(headline, style="bold"))
    for pair in pairs:
        console.print(_shown(pair, whole=chosen.prompt is not None))
    return OK


def _chosen(result: "ComparisonSet", chosen: argparse.Namespace) -> Sequence[int]:
    """The places of the requested pairs, in the reports' order.

    Raises:
        ConfigError: There is no such prompt, or conflicts were not scored.
    """
    from fidelity.report.pairs import rank

    (candidate,) = result.candidates
    pairs = candidate.pairing.pairs
    order = rank(result, candidate, None).order
    if chosen.prompt is not None:
        ids = candidate.prompt_ids
        wanted = [place for place, prompt_id in enumerate(ids) if prompt_id == chosen.prompt]
        if not wanted:
            raise ConfigError(f"{chosen.comparison}: no pair of prompt {chosen.prompt!r}{nearest(chosen.prompt, ids)}")
        return wanted
    if chosen.conflict is not None:
        scored = candidate.columns.get(f"conflict_{chosen.conflict}")
        if scored is None:
            raise ConfigError(f"{chosen.comparison}: conflicts were not scored; compare with the metric 'conflicts'")
        hits = {n for n, value in enumerate(scored.column.values) if value}
        return [n for n in order if n in hits]
    changed = (n for n in order if pairs[n].baseline.text != pairs[n].candidate.text)
    return list(islice(changed, chosen.worst))


def _as_json(candidate: "Scores", places: Sequence[int], pairs: "Sequence[Pair]") -> list[dict[str, object]]:
    """The pairs with their prompts, texts, conflicts, and the score of each column (null: can't be scored)."""
    from fidelity.report.conflicts import conflicts_of

    return [
        {
            "prompt_id": pair.prompt.id,
            "repeat": pair.baseline.repeat,
            "prompt": pair.prompt.text,
            "baseline": pair.baseline.text,
            "candidate": pair.candidate.text,
            "conflicts": [
                {
                    "kind": conflict.kind,
                    "baseline": pair.baseline.text[slice(*conflict.baseline)],
                    "candidate": pair.candidate.text[slice(*conflict.candidate)],
                }
                for conflict in conflicts_of(pair)
            ],
            "scores": {name: scored.column.values[place] for name, scored in candidate.columns.items()},
        }
        for place, pair in zip(places, pairs, strict=True)
    ]


def _shown(pair: "Pair", *, whole: bool) -> "Text":
    """The prompt, its conflicts, and a diff of both texts that marks differences with brackets and color."""
    from rich.text import Text

    from fidelity.outside.strings import cut, one_line
    from fidelity.report.conflicts import conflict_in_words, conflicts_of
    from fidelity.report.diff import readable, word_diff

    title = one_line(pair.prompt.id) + (f", repeat {pair.baseline.repeat}" if pair.baseline.repeat else "")
    shown = Text(f"\n== {title} ==\n", style="bold")
    if pair.prompt.text:
        asked = pair.prompt.text if whole else cut(one_line(pair.prompt.text), CONTEXT)
        shown.append(f"prompt: {asked}\n", style="not bold dim")
    for conflict in conflicts_of(pair):
        shown.append(f"{conflict_in_words(conflict, pair)}\n", style="yellow")
    pieces = readable(word_diff(pair.baseline.text, pair.candidate.text))
    for number, piece in enumerate(pieces):
        text = piece.text if whole else _elided(piece, first=number == 0, last=number == len(pieces) - 1)
        match piece.kind:
            case "both":
                shown.append(text, style="not bold")
            case "baseline":
                shown.append(f"[-{text}-]", style="not bold red")
            case "candidate":
                shown.append(f"{{+{text}+}}", style="not bold green")
    return shown


def _elided(piece: "Piece", *, first: bool, last: bool) -> str:
    """Text that both answers share, with its middle left out if it is long."""
    if piece.kind != "both" or len(piece.text) <= 3 * CONTEXT:
        return piece.text
    before, after = ("" if first else piece.text[:CONTEXT]), ("" if last else piece.text[-CONTEXT:])
    return f"{before} ⋯ {after}"
