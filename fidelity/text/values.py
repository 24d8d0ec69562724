"""JSON side by side: the values at the same path, and which of them differ."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rapidfuzz.distance import LCSseq

from fidelity.text.documents import DocumentValue, Members, Numeral

Path = tuple[str | int, ...]


class ValuePair(NamedTuple):
    """Two scalars, or empty containers, at the same path; `path` is the baseline's."""

    path: Path
    baseline: DocumentValue
    candidate: DocumentValue
    moved: bool = False
    """Whether they are equal elements of a list that changed places: JSON's arrays are in order."""


class ValueComparison(NamedTuple):
    """Values at the same path, and how many of each side's have no counterpart."""

    pairs: list[ValuePair]
    omitted: int
    added: int


def compare_values(baseline: DocumentValue, candidate: DocumentValue) -> ValueComparison:
    """Pair the values of two documents: members by key, elements by equality, by their place, and where they moved."""
    pairs: list[ValuePair] = []
    omitted = added = 0
    waiting: list[tuple[Path, DocumentValue, DocumentValue]] = [((), baseline, candidate)]
    while waiting:
        path, a, b = waiting.pop()
        if isinstance(a, Members) and isinstance(b, Members) and a.pairs and b.pairs:
            left, right = dict(a.pairs), dict(b.pairs)
            waiting += [((*path, key), value, right[key]) for key, value in reversed(left.items()) if key in right]
            omitted += sum(_leaves(value) for key, value in left.items() if key not in right)
            added += sum(_leaves(value) for key, value in right.items() if key not in left)
        elif isinstance(a, list) and isinstance(b, list) and a and b:
            matches = list(_elements(a, b))
            moved = list(_moved(a, b, matches))
            pairs += [ValuePair((*path, i), a[i], b[j], moved=True) for i, j in moved]
            waiting += [((*path, i), a[i], b[j]) for i, j in reversed(matches)]
            omitted += sum(_leaves(a[i]) for i in {*range(len(a))} - {i for i, _ in [*matches, *moved]})
            added += sum(_leaves(b[j]) for j in {*range(len(b))} - {j for _, j in [*matches, *moved]})
        else:
            pairs.append(ValuePair(path, a, b))
    return ValueComparison(pairs, omitted, added)


def same_value(a: DocumentValue, b: DocumentValue) -> bool:
    """Equal, with 1 and 1.0 the same, 1 and true and "1" not, and white space at the ends of texts left out."""
    if isinstance(a, str) and isinstance(b, str):
        return a.split() == b.split()
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return normal_value(a) == normal_value(b)


def normal_value(value: DocumentValue) -> str:
    """A value in one spelling, its keys in order."""
    match value:
        case Members():
            members = sorted((json.dumps(key), normal_value(child)) for key, child in value.pairs)
            return "{" + ",".join(f"{key}:{child}" for key, child in members) + "}"
        case list():
            return "[" + ",".join(map(normal_value, value)) + "]"
        case Numeral():
            return value.text
        case float() if value.is_integer():
            return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def place_of(path: Path, value: DocumentValue, text: str) -> tuple[int, int]:
    """Where a value is in its document's text: after its key, the first place that has both; else the whole text."""
    written = re.escape(json.dumps(value, ensure_ascii=False)) if not isinstance(value, Members | list) else r"[{\[]"
    if isinstance(value, float | Numeral):
        written = r"-?\d[\d.eE+-]*"
    key = next((step for step in reversed(path) if isinstance(step, str)), None)
    before = rf'"{re.escape(key)}"\s*:[^:]*?' if key is not None else ""
    match = re.search(rf"{before}({written})", text)
    return match.span(1) if match else (0, len(text))


def _elements(a: Sequence[DocumentValue], b: Sequence[DocumentValue]) -> Iterator[tuple[int, int]]:
    """Equal elements in order; between them, by place where both sides have as many."""
    for op in LCSseq.opcodes([normal_value(v) for v in a], [normal_value(v) for v in b]):
        rows, columns = range(op.src_start, op.src_end), range(op.dest_start, op.dest_end)
        if op.tag == "equal":
            yield from zip(rows, columns, strict=True)
    left = _gaps(a, b)
    for rows, columns in left:
        if len(rows) == len(columns):
            yield from zip(rows, columns, strict=True)


def _moved(
    a: Sequence[DocumentValue], b: Sequence[DocumentValue], matches: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Elements without a match that are equal to one elsewhere in the other list."""
    rows, columns = {i for i, _ in matches}, {j for _, j in matches}
    places: dict[str, list[int]] = defaultdict(list)
    for j, value in enumerate(b):
        if j not in columns:
            places[normal_value(value)].append(j)
    for i, value in enumerate(a):
        if i not in rows and (free := places[normal_value(value)]):
            yield i, free.pop(0)


def _gaps(a: Sequence[DocumentValue], b: Sequence[DocumentValue]) -> Iterator[tuple[range, range]]:
    """Runs of elements without an equal, between the same equal ones."""
    start = (0, 0)
    for op in LCSseq.opcodes([normal_value(v) for v in a], [normal_value(v) for v in b]):
        if op.tag == "equal":
            yield range(start[0], op.src_start), range(start[1], op.dest_start)
            start = op.src_end, op.dest_end
    yield range(start[0], len(a)), range(start[1], len(b))


def _leaves(value: DocumentValue) -> int:
    total, waiting = 0, [value]
    while waiting:
        match waiting.pop():
            case Members(pairs) if pairs:
                waiting += [child for _, child in pairs]
            case list() as elements if elements:
                waiting += elements
            case _:
                total += 1
    return total
