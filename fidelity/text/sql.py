"""SQL: whether two statements ask for the same, by sqlglot's syntax trees."""

import logging
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot.expressions import Expression

MAX_CHARACTERS = 10_000
"""Longer SQL is compared lexeme by lexeme."""


def same_sql(a: str, b: str) -> bool:
    """Whether both parse and are equal but for layout, case, comments, optional words and the order of conditions."""
    forms = normal_sql(a), normal_sql(b)
    return forms[0] is not None and forms[0] == forms[1]


@lru_cache(maxsize=1_000)
def normal_sql(text: str) -> tuple[str, ...] | None:
    """The statements of a piece of SQL in one spelling; None where it isn't SQL that sqlglot reads."""
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(text) > MAX_CHARACTERS:
        return None
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        parsed = sqlglot.parse(text)
        return tuple(_sorted(tree).sql(normalize=True, comments=False) for tree in parsed if tree is not None)
    except (SqlglotError, RecursionError):
        return None


def _sorted(tree: "Expression") -> "Expression":
    """With the conditions that AND or OR joins in alphabetical order, and columns of one table without its name."""
    from sqlglot import exp

    alone = len(list(tree.find_all(exp.Table))) == 1  # its columns need not name it

    def ordered(node: "Expression") -> "Expression":
        if isinstance(node, exp.Join) and (node.args.get("kind") == "INNER" or node.side):
            node.set("kind", None)  # INNER and OUTER are optional words
        if isinstance(node, exp.Column) and alone:
            node.set("table", None)
        if isinstance(node, exp.Ordered) and not node.args.get("desc"):
            node.set("desc", None)
        for kind in (exp.And, exp.Or):
            if isinstance(node, kind) and not isinstance(node.parent, kind):
                operands = sorted(_operands(node, kind), key=lambda operand: operand.sql(normalize=True))
                joined = operands[0]
                for operand in operands[1:]:
                    joined = kind(this=joined, expression=operand)
                return joined
        return node

    return tree.transform(ordered)


def _operands(node: "Expression", kind: "type[Expression]") -> "Iterator[Expression]":
    waiting: list[Expression] = [node]
    while waiting:
        top = waiting.pop()
        if isinstance(top, kind):
            waiting += [top.expression, top.this]
        else:
            yield top.copy()
