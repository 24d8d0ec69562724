"""Trees: how many nodes must be inserted, deleted or renamed to turn one ordered, labelled forest into another."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein

MAX_HEIGHT = 100
"""Trees that are higher are never handed to apted, which recurses into them."""


class Node(NamedTuple):
    """A labelled node with its subtree. Equal `shape` means equal subtree, among nodes grown with the same `shapes`."""

    label: str
    children: tuple["Node", ...]
    shape: int
    size: int
    """Nodes of the subtree, this one included."""
    height: int
    """Nodes on the longest way down, this one included."""


Shapes = dict[tuple[str, tuple[int, ...]], int]
Forest = Sequence[Node]


def grow(preorder: Iterable[tuple[int, str]], shapes: Shapes) -> tuple[Node, ...]:
    """The forest whose nodes have these depths (0 for a root, at most one more than the node before) and labels."""
    waiting: list[tuple[str, list[Node]]] = [("", [])]

    def close(depth: int) -> None:
        while len(waiting) > depth + 1:
            label, children = waiting.pop()
            waiting[-1][1].append(_node(label, tuple(children), shapes))

    for depth, label in preorder:
        close(depth)
        waiting.append((label, []))
    close(0)
    return tuple(waiting[0][1])


def size(forest: Forest) -> int:
    """Number of nodes."""
    return sum(tree.size for tree in forest)


def similarity(a: Forest, b: Forest, *, exact_nodes: int) -> float:
    """1 - distance / nodes of the larger forest, in [0, 1]; 1 = equal. Two empty forests are equal.

    A chain and a row of nodes are further apart than either has nodes, since only one of each can be mapped: that is 0.
    """
    larger = max(size(a), size(b))
    return max(0.0, 1.0 - distance(a, b, exact_nodes=exact_nodes) / larger) if larger else 1.0


def distance(a: Forest, b: Forest, *, exact_nodes: int) -> int:
    """The tree edit distance at unit costs (Zhang and Shasha 1989), by APTED (Pawlik and Augsten 2016).

    What both have in common at the start, at the end and at the root is taken away first, which leaves the distance as
    it is. If more than exact_nodes x exact_nodes pairs of nodes remain, or a tree higher than 100, a lower bound
    replaces the distance: the edit distance of the labels in pre-order or in post-order, the larger (Guha et al. 2002),
    and at least 1 if the forests differ.
    """
    a, b = _differing(a, b)
    if not (a and b):
        return size(a) + size(b)
    at_least = max(1, *(_sequence_distance(a, b, order) for order in (_preorder, _postorder)))
    if size(a) * size(b) > exact_nodes**2 or max(tree.height for tree in (*a, *b)) > MAX_HEIGHT:
        return at_least
    # Where the cheap bounds meet, as they do for most Markdown, apted's 50 microseconds per pair of nodes are saved.
    return at_least if _top_down_distance(a, b) == at_least else _apted_distance(a, b)


def _node(label: str, children: tuple[Node, ...], shapes: Shapes) -> Node:
    shape = shapes.setdefault((label, tuple(child.shape for child in children)), len(shapes))
    return Node(label, children, shape, 1 + size(children), 1 + max((child.height for child in children), default=0))


def _differing(a: Forest, b: Forest) -> tuple[Forest, Forest]:
    """Both forests without equal first trees, equal last trees, and equal single roots, again and again.

    No distance is lost: a mapping of least cost can map an equal first tree to its twin. If it maps one's nodes
    elsewhere, nothing else can be mapped to the other's, since the order is fixed. The same goes for equal roots.
    """
    while a and b:
        if a[0].shape == b[0].shape:
            same = _common_start(a, b)
            a, b = a[same:], b[same:]
        elif a[-1].shape == b[-1].shape:
            same = _common_start(a[::-1], b[::-1])
            a, b = a[:-same], b[:-same]
        elif len(a) == len(b) == 1 and a[0].label == b[0].label:
            a, b = a[0].children, b[0].children
        else:
            break
    return a, b


def _common_start(a: Forest, b: Forest) -> int:
    pairs = zip(a, b, strict=False)
    return next((n for n, (x, y) in enumerate(pairs) if x.shape != y.shape), min(len(a), len(b)))


def _preorder(forest: Forest) -> Iterator[str]:
    waiting = list(reversed(forest))
    while waiting:
        node = waiting.pop()
        yield node.label
        waiting.extend(reversed(node.children))


def _postorder(forest: Forest) -> Iterator[str]:
    """From the last node to the first, which is the same to an edit distance."""
    waiting = list(forest)
    while waiting:
        node = waiting.pop()
        yield node.label
        waiting.extend(node.children)


def _sequence_distance(a: Forest, b: Forest, order: Any) -> int:
    return Levenshtein.distance(list(order(a)), list(order(b)))


def _top_down_distance(a: Forest, b: Forest) -> int:
    """Selkow's distance (1977), which deletes and inserts whole subtrees only: never below the tree edit distance."""
    known: dict[tuple[int, int], int] = {}

    def trees(x: Node, y: Node) -> int:
        if x.shape == y.shape:
            return 0
        if (x.shape, y.shape) not in known:
            known[x.shape, y.shape] = (x.label != y.label) + forests(x.children, y.children)
        return known[x.shape, y.shape]

    def forests(xs: Forest, ys: Forest) -> int:
        above = [0]
        for y in ys:
            above.append(above[-1] + y.size)
        for x in xs:
            row = [above[0] + x.size]
            for j, y in enumerate(ys):
                row.append(min(above[j + 1] + x.size, row[j] + y.size, above[j] + trees(x, y)))
            above = row
        return above[-1]

    return forests(a, b)


def _apted_distance(a: Forest, b: Forest) -> int:
    from apted import APTED, Config

    class UnitCosts(Config):  # type: ignore[misc]
        def rename(self, node1: Node, node2: Node) -> int:
            return int(node1.label != node2.label)

        def children(self, node: Node) -> tuple[Node, ...]:
            return node.children

    roots = (_node("", tuple(forest), {}) for forest in (a, b))
    return int(APTED(*roots, UnitCosts()).compute_edit_distance())
