import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity.text.trees import distance, grow, similarity, size

apted = pytest.importorskip("apted")

preorders = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abc")), max_size=14)


def forests(a, b):
    shapes = {}
    return grow(fitted(a), shapes), grow(fitted(b), shapes)


def fitted(preorder):
    """The same with no node more than one deeper than the node before it."""
    depth = -1
    for wanted, label in preorder:
        depth = min(wanted, depth + 1)
        yield depth, label


def brackets(text):
    """Depth and label of each node in apted's notation, `{a{b}{c}}`."""
    depth = -1
    for character in text:
        if character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
        else:
            yield depth, character


def as_brackets(forest):
    return "".join(f"{{{node.label}{as_brackets(node.children)}}}" for node in forest)


def of_apted(a, b):
    trees = [apted.helpers.Tree.from_text(f"{{root{as_brackets(forest)}}}") for forest in (a, b)]
    return apted.APTED(*trees).compute_edit_distance()


def test_the_example_of_zhang_and_shasha():
    # Their figure 4: c goes from inside d to around it, one deletion and one insertion.
    a, b = forests(brackets("{f{d{a}{c{b}}}{e}}"), brackets("{f{c{d{a}{b}}}{e}}"))
    assert distance(a, b, exact_nodes=100) == 2
    # Six nodes a side: 1 - 2 / 6.
    assert similarity(a, b, exact_nodes=100) == 1 - 2 / 6


@pytest.mark.parametrize(
    ("a", "b", "edits"),
    [
        ("", "", 0),
        ("{a}", "", 1),
        ("{a{b}{c}}", "", 3),
        ("{a}", "{b}", 1),  # renamed
        ("{a{b}{c}}", "{a{b}}", 1),  # c deleted
        ("{b}{c}", "{a{b}{c}}", 1),  # a inserted above two
        ("{a}{b}{c}", "{c}{a}{b}", 2),  # order counts: c deleted and inserted
        ("{a{b{c{d}}}}", "{d{c{b{a}}}}", 4),  # a chain has no other order: four renamed
    ],
)
def test_by_hand(a, b, edits):
    a, b = forests(brackets(a), brackets(b))
    assert distance(a, b, exact_nodes=100) == distance(b, a, exact_nodes=100) == edits


@given(preorders, preorders)
def test_it_is_apted(a, b):
    a, b = forests(a, b)
    assert distance(a, b, exact_nodes=100) == of_apted(a, b)


@given(preorders, preorders)
def test_the_lower_bound_is_one_and_is_0_for_equal_forests_only(a, b):
    a, b = forests(a, b)
    bound = distance(a, b, exact_nodes=0)
    assert bound <= distance(a, b, exact_nodes=100)
    assert bound == distance(b, a, exact_nodes=0)
    assert (bound == 0) == (as_brackets(a) == as_brackets(b))


def test_common_nodes_do_not_count_for_the_limit():
    # 1,000 equal nodes around one renamed: one pair of nodes is left for the exact distance, even at a limit of 1.
    around = [(0, "a"), *[(1, "b"), (2, "c")] * 250]
    a, b = forests([*around, (1, "x"), *around], [*around, (1, "y"), *around])
    assert size(a) == 1_003
    assert distance(a, b, exact_nodes=1) == 1


def test_deep_trees_are_read_without_recursion():
    # 50,000 levels, half of them renamed: as sequences of labels they differ in 25,000 places.
    a, b = forests(((n, "a") for n in range(50_000)), ((n, "ab"[n % 2]) for n in range(50_000)))
    assert distance(a, b, exact_nodes=10**9) == 25_000
    assert similarity(a, a, exact_nodes=100) == 1.0
