"""Token scores on the pages: the numbers of the modules that read them, and hostile tokens."""

import re

import pytest

from fidelity.comparison.stored import load_comparison
from fidelity.dashboard.pair_view import chosen_token
from fidelity.dashboard.token_panel import token_numbers
from fidelity.dashboard.token_view import show_tokens
from fidelity.records import Generation
from fidelity.report.verdicts import number
from fidelity.tokens.first_divergence import noise, survival
from fidelity.tokens.statistics import token_statistics
from fidelity.tokens.table import Alternative, TokenRow, token_table, token_texts
from tests.dashboard.conftest import charted, comparison, page_text


def test_the_panel_has_the_numbers_of_the_command(opened, token_scored):
    path = comparison(token_scored, "int8")
    result = load_comparison(path)
    app = opened(token_scored, "comparison", metric="top1_agreement")
    while "Reading tokens" in page_text(app):
        app.run()
    (candidate,) = result.candidates
    statistics = token_statistics(result.baseline, candidate.run)
    diverged = survival(result.baseline, candidate.run)
    rows = dict(re.findall(r"<tr><td>([^<]+)</td><td>[^<]*</td><td>([^<]*)</td></tr>", page_text(app)))
    assert rows["same most likely token"] == number(statistics.same_top, share=True)
    assert rows["KL, lower bound, mean (nats)"] == f"{statistics.kl_lower_bound.mean:.4f}"
    assert rows["diverging answers"] == f"{len(diverged.diverged_at)} of {diverged.answers}"
    assert f"'share': {diverged.curve()[-1][1]}" in charted(app)


def test_floor_and_candidate_are_distinguished(token_scored):
    numbers = token_numbers(comparison(token_scored, "int8"))
    result = load_comparison(comparison(token_scored, "int8"))
    assert [side.name for side in numbers.sides] == ["floor", "candidate"]
    assert numbers.noise == noise(result.baseline, [control.run for control in result.controls])


def test_the_pair_shows_every_token_with_its_alternatives(opened, token_scored):
    shown = page_text(opened(token_scored, "pairs", view="Tokens"))
    assert len(re.findall(r"title=\"token \d+: ", shown)) == 8
    assert re.search(r"baseline -?\d+\.\d\d(, rank \d+)?: “.+” \d+\.\d%", shown)


def test_without_token_scores_the_page_gives_the_reason_and_shows_the_rest(opened, recorded):
    app = opened(recorded, "pairs", view="Tokens")
    assert "did not score the tokens of" in page_text(app)
    assert "Log-probabilities while generating" in page_text(app)


def test_a_token_that_is_markup_is_text(monkeypatch):
    hostile = '"><script>alert(1)</script>'
    top = (Alternative(1, hostile, -0.5),)
    row = TokenRow(0, 1, hostile, -0.5, -3.0, 1, 9, 2.0, False, 0.4, top, top)
    drawn = []
    monkeypatch.setattr("fidelity.dashboard.token_view.html", drawn.append)
    monkeypatch.setattr("fidelity.dashboard.token_view.downloads", lambda *_: None)
    monkeypatch.setattr("fidelity.dashboard.token_view.token_table", lambda *_, **__: [row])
    run = type("Run", (), {"name": "other"})
    assert show_tokens(run, [run], "p", 0) == ""
    assert "<script" not in "".join(drawn)
    assert 'class="f-less4 f-flip"' in drawn[0]


def test_an_exact_tie_is_named_above_the_divergence(monkeypatch):
    top = (Alternative(1, "Paris", -0.7), Alternative(2, "Lyon", -0.7))
    plain = TokenRow(0, 5, "In", -0.1, -0.1, 1, 1, 2.0, True, 0.0, (), ())
    tied = TokenRow(1, 2, "Lyon", -0.7, -0.9, 2, 3, 0.0, True, 0.1, top, top, tie=True)
    drawn = []
    monkeypatch.setattr("fidelity.dashboard.token_view.quiet", drawn.append)
    monkeypatch.setattr("fidelity.dashboard.token_view.html", drawn.append)
    monkeypatch.setattr("fidelity.dashboard.token_view.downloads", lambda *_: None)
    monkeypatch.setattr("fidelity.dashboard.token_view.token_table", lambda *_, **__: [plain, tied])
    run = type("Run", (), {"name": "other"})
    assert show_tokens(run, [run], "p", 0) == ""
    sentence = "At 1 of 2 tokens the baseline's two most likely tokens are exactly equally likely"
    assert any(sentence in one and "(first at token 1: “Paris” and “Lyon”)" in one for one in drawn)
    assert any("At 0 of 2 tokens another token is most likely" in one for one in drawn)


@pytest.mark.parametrize(
    ("place", "texts", "sentence"),
    [
        (0, {7: "Par\nis"}, "baseline chose “Par is” (log-probability -0.500)"),
        (0, {}, "baseline chose token id 7 (log-probability -0.500)"),
        (1, {7: "Paris"}, "baseline has ended"),
    ],
)
def test_the_first_divergence_names_tokens_by_their_text(place, texts, sentence):
    assert chosen_token("baseline", Generation("p", "Paris", (7,), (-0.5,)), place, texts) == sentence


def test_texts_are_those_of_the_token_scores(token_scored):
    result = load_comparison(comparison(token_scored, "int8"), only=())
    texts = token_texts(result.baseline, [result.candidates[0].run])
    rows = token_table(result.baseline, result.candidates[0].run, "p0")
    assert rows
    assert {row.token: row.text for row in rows}.items() <= texts.items()
