"""The order of blind answers: a secret of the store decides it, so neither a page nor its address gives it away."""

import re
import stat

from fidelity.comparison.stored import load_comparison
from fidelity.dashboard import cache
from fidelity.store.comparisons import Comparison
from fidelity.store.reviews import (
    FOLDER,
    ORDER_KEY,
    Review,
    add_review,
    answers_digest,
    is_swapped,
    now,
    order_key,
    place_in_random_order,
)
from fidelity.store.runs import Run
from tests.dashboard.conftest import comparison, page_text

PAIRS = [(f"p{n}", 0) for n in range(400)]


def test_half_of_the_pairs_are_swapped_and_always_the_same_ones(tmp_path):
    key = order_key(tmp_path)
    swapped = [is_swapped(key, "base--quant", pair) for pair in PAIRS]
    assert 150 < sum(swapped) < 250  # 200 with a standard deviation of 10
    assert [is_swapped(order_key(tmp_path), "base--quant", pair) for pair in PAIRS] == swapped


def test_another_store_has_another_order(tmp_path):
    one, other = order_key(tmp_path / "one"), order_key(tmp_path / "other")
    assert one != other
    assert sum(is_swapped(one, "c", pair) != is_swapped(other, "c", pair) for pair in PAIRS) > 100


def test_only_its_owner_can_read_the_secret(tmp_path):
    key = order_key(tmp_path)
    file = tmp_path / FOLDER / ORDER_KEY
    assert len(key) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_blind_page_shows_the_answers_in_the_secret_order(opened, store):
    (store / FOLDER).mkdir()
    (store / FOLDER / ORDER_KEY).write_bytes(bytes(32))  # with a random one, all eight could be in the same order
    path, key = comparison(store, "w4a16"), cache.blind_key(store)
    answers = {one.prompt_id: one.text for one in Run(store / "runs" / Comparison(path).manifest.candidate).outcomes()}
    orders = set()
    for prompt in list(answers)[:8]:
        shown = page_text(
            opened(store, "pairs", comparison=path.name, blind="true", view="Side by side", pair=f"{prompt}:0")
        )
        first = re.search(r"<b>A</b></div><div class=\"f-box f-text\">(.*?)</div>", shown, re.DOTALL)[1]
        words = re.sub(r"<sup.*?</sup>|<[^>]*>", "", first)
        swapped = is_swapped(key, path.name, (prompt, 0))
        assert (words == answers[prompt]) == swapped
        assert "Candidate</b>" not in shown
        assert key.hex() not in shown
        orders.add(swapped)
    assert orders == {True, False}


def test_a_store_that_can_not_be_written_has_an_order_for_the_process(tmp_path, monkeypatch):
    (tmp_path / FOLDER).write_text("a file where a folder should be")
    key = cache.blind_key(tmp_path)
    assert len(key) == 32
    assert cache.blind_key(tmp_path) == key


def test_the_comparison_page_has_the_votes_and_what_they_are_a_sample_of(opened, store):
    path = comparison(store, "w4a16")
    shown = page_text(opened(store, "comparison", comparison=path.name))
    assert "is the candidate worse?" not in shown
    pair = max(
        load_comparison(path).candidates[0].pairing.pairs, key=lambda one: place_in_random_order((one.prompt.id, 0))
    )
    review = Review(
        comparison=path.name, prompt_id=pair.prompt.id, reviewer="Ada", vote="baseline better", blind=False,
        answers=answers_digest(pair.baseline.text, pair.candidate.text), created=now(),
    )  # fmt: skip
    add_review(store, review)
    shown = page_text(opened(store, "comparison", comparison=path.name))
    assert "the baseline is better on 1 of 1 decided prompt" in shown
    assert "The reviewed prompts are no random sample of the" in shown
    shown = page_text(opened(store, "comparison", comparison=path.name, blind="true"))
    assert "is the candidate worse?" not in shown
