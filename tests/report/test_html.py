"""The HTML report, opened in a real headless Chromium where there is one."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from fidelity.report import NOT_QUALITY, as_html, page_data
from tests.report.conftest import HOSTILE, compared, line, verdict


@pytest.fixture
def opened(chromium, tmp_path):
    """Opens a report; the page records its network requests, errors and dialogs."""
    pages = []

    def opened(report, **options):
        file = tmp_path / "report.html"
        file.write_text(report, encoding="utf-8")
        page = chromium.new_page(**{"viewport": {"width": 1440, "height": 900}, **options})
        page.requests, page.complaints = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog: page.complaints.append(dialog.message))
        page.goto(file.as_uri())
        pages.append(page)
        return page

    yield opened
    for page in pages:
        assert page.complaints == []
        assert all(url.startswith("file:") for url in page.requests)
        page.close()


@pytest.fixture(scope="module")
def hostile_report(hostile):
    lines = [line("fail", reason=HOSTILE), line("inconclusive", kind="precondition", name=HOSTILE, reason=HOSTILE)]
    return as_html(hostile, {"quant": verdict("quant", "fail", *lines, reason=HOSTILE)})


class Tags(HTMLParser):
    """The elements of a file, with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def data_of(report):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', report, re.S)[1])


@pytest.mark.browser
class TestHostile:
    def test_nothing_of_it_runs_and_all_of_it_is_shown(self, opened, hostile_report):
        page = opened(hostile_report)
        for pair in page.locator(".pair > summary").all():
            pair.click()
        assert page.evaluate("typeof window.ran") == "undefined"
        assert page.locator("img, iframe, object, embed, base, link, b b").count() == 0
        assert page.locator("script").count() == 2
        assert page.locator("#category").is_hidden()  # both prompts have the same one: nothing to choose
        shown = page.locator("#list").inner_text()
        for text in (
            "<script>window.ran = 'script'</script><img src=x onerror=\"window.ran = 'img'\"> ]]> </script> <!--",
            "␛[31mred␛[0m NUL ␀ ⟦U+202E⟧gnp.exe⟦U+202C⟧ ⟦U+200F⟧ ⟦U+2028⟧ &lt; &amp; {{7*7}} ${7}",
        ):
            assert text in shown
        assert not set(page.content()) & {"\x00", "\x1b", "\u202e", "\u200f"}

    def test_what_got_in_all_the_same_could_not_run(self, chromium, hostile_report, tmp_path):
        file = tmp_path / "report.html"
        file.write_text(hostile_report.replace("<main>", "<main><script>window.ran = 1</script>"), encoding="utf-8")
        page = chromium.new_page()
        refused = []
        page.on("console", lambda message: refused.append(message.text))
        page.goto(file.as_uri())
        assert page.evaluate("typeof window.ran") == "undefined"
        assert "Content Security Policy" in refused[0]
        assert page.locator("#count").inner_text() == "2 of 2 pairs"  # the page's own script does run
        page.close()

    def test_names_labels_and_reasons_are_text(self, opened, hostile_report):
        page = opened(hostile_report)
        assert "<script>window.ran" in page.locator("#gate td.why").first.inner_text()
        assert "<script>window.ran" in page.locator("#what-was-compared table").first.inner_text()
        assert "silent.jsonl has no output for it" in page.locator("#what-was-compared").inner_text()


@pytest.mark.browser
class TestPage:
    @pytest.fixture(scope="class")
    @classmethod
    def report(cls, recordings, verdicts):
        return as_html(recordings, verdicts)

    @pytest.mark.parametrize("width", [900, 1440])
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_it_fits_and_is_light_or_dark_as_the_reader_likes(self, opened, report, width, scheme):
        page = opened(report, viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.locator(".pair > summary").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(19, 23, 28)"}[scheme]

    def test_verdict_lines_summary_and_distributions_are_there(self, opened, report):
        page = opened(report)
        top = page.locator("header").inner_text()
        assert "fail: w8a8-fp8; inconclusive: bf16-eager; pass: bf16-serial." in top
        assert NOT_QUALITY in top
        rows = [row.inner_text().split("\t") for row in page.locator("#gate table").first.locator("tbody tr").all()]
        assert rows[0] == ["fail", "rougeL", "0.377", "0.958", "+0.580", "≥ +0.470", "0.050", "64", "rougeL drifted."]
        assert rows[-1][-1] == "Warns only. Because."
        summary = page.locator("#summary table tbody tr", has_text="prefix_agreement").inner_text()
        assert summary.replace("\n", " ").split() == [
            "prefix_agreement", "0.897", "0.954", "-0.045", "0.425", "+0.473", "0.106", "+0.790", "0.003",
        ]  # fmt: skip
        assert page.locator("#distributions figure").count() == 5  # identical is only yes or no
        floor = page.locator("#distributions figure", has_text="rougeL").first.locator(".floor rect")
        assert floor.count() > 3

    def test_pairs_are_filtered_by_text_by_candidate_and_by_change(self, opened, report):
        page = opened(report)
        count, more = page.locator("#count"), page.locator("#more")
        assert count.inner_text() == "64 of 64 pairs"
        assert page.locator(".pair").count() == 40
        more.click()
        assert page.locator(".pair").count() == 64
        assert more.is_hidden()
        assert (
            page.locator("#candidate option:checked").inner_text() == "w8a8-fp8"
        )  # it fails, the others are undecided
        page.locator("#candidate").select_option(label="bf16-serial")
        # 0.797 of its 64 answers are identical: 13 are changed.
        page.locator("#changed").check()
        assert count.inner_text() == "13 of 64 pairs"
        page.locator("#candidate").select_option(label="w8a8-fp8")
        assert count.inner_text() == "64 of 64 pairs"
        page.locator("#search").fill("silent beauty")
        assert count.inner_text() == "1 of 64 pairs"
        assert page.locator(".pair .id").inner_text() == "writing-01"
        page.locator("#search").fill("The sea is a mirror")  # the candidate's words, across a change
        assert count.inner_text() == "1 of 64 pairs"
        page.locator("#search").fill("")
        page.locator("#category").select_option(label="german")
        assert count.inner_text() == "8 of 64 pairs"

    def test_what_to_ship_and_a_row_for_each_candidate_come_first(self, opened, report):
        page = opened(report)
        assert page.locator("main section").first.get_attribute("id") == "overview"
        assert "w8a8-fp8" in page.locator("#overview").inner_text()
        assert re.match(r"Ship|Nothing", page.locator("header p b").first.inner_text())

    def test_it_opens_on_the_worst_failing_pair_and_the_address_holds_filters_and_pair(self, opened, report):
        page = opened(report)
        assert page.locator("details.pair[open]").count() == 1
        assert page.locator("details.pair").first.evaluate("one => one.open")
        page.locator("#search").fill("paris")
        page.locator("details.pair summary").nth(1).click()
        page.wait_for_function("() => location.hash.includes('pair=')")
        chosen = page.locator("details.pair[open] .id").inner_text()
        address, filtered = page.url, page.locator("#count").inner_text()
        page.goto("about:blank")
        page.goto(address)
        assert page.locator("#search").input_value() == "paris"
        assert page.locator("#count").inner_text() == filtered
        assert page.locator("details.pair[open] .id").inner_text() == chosen

    def test_pairs_come_in_the_order_that_is_asked_for(self, opened, report):
        page = opened(report)
        page.locator("#candidate").select_option(label="w8a8-fp8")
        first = page.locator(".pair .id").first
        assert first.inner_text() == "german-02"
        page.locator("#order").select_option(label="as asked")
        assert first.inner_text() == "qa-01"
        page.locator("#order").select_option(label="lowest prefix_agreement")
        page.locator(".pair > summary").first.click()
        assert "prefix_agreement 0.000" in page.locator(".pair .scores").first.inner_text()

    def test_a_pair_shows_its_words_together_or_side_by_side(self, opened, report):
        page = opened(report)
        page.locator("#candidate").select_option(label="w8a8-fp8")
        page.locator("#search").fill("silent beauty")
        page.locator(".pair > summary").first.click()
        columns = page.locator(".columns .text")
        left, right = columns.nth(0).inner_text(), columns.nth(1).inner_text()
        assert left.startswith("The waves of the sea, a silent beauty,\n")
        assert right.startswith("The sea is a mirror that reflects the soul")
        page.locator("#beside").uncheck()
        page.locator(".pair > summary").first.click()
        assert page.locator(".together del").nth(1).inner_text() == " waves of the"
        assert page.locator(".together ins").nth(1).inner_text() == " is"

    def test_the_control_is_beside_a_pair(self, opened, report):
        page = opened(report)
        first = page.locator("details.pair").first
        assert first.locator(".columns h4").all_inner_texts() == ["bf16", "w8a8-fp8", "bf16-rev (control)"]
        page.locator("#beside").uncheck()
        page.locator(".pair > summary").first.click()
        assert first.locator(".columns h4").all_inner_texts() == [
            "bf16 against w8a8-fp8",
            "bf16 against bf16-rev (control)",
        ]
        page.locator("#search").fill("")
        page.set_viewport_size({"width": 900, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= 900

    def test_conflicts_are_marked_in_the_text(self, opened, workspace, tmp_path):
        texts = {"dose": "Take 50 mg of it daily.", "never": "You should not take it after a meal."}
        other = {"dose": "Take 500 mg of it daily.", "never": "You should take it after a meal."}
        runs = {
            name: workspace.recorded(name, [{"id": key, "text": text} for key, text in own.items()])
            for name, own in (("base", texts), ("quant", other))
        }
        page = opened(as_html(compared(tmp_path / "store", *runs.values(), metrics=["conflicts"])))
        for beside in (True, False):
            page.locator("#beside").set_checked(beside)
            page.locator("details.pair").evaluate_all("all => all.forEach((one) => (one.open = true))")
            page.locator(".pair .inner").nth(1).wait_for()
            assert set(page.locator(".kind").all_inner_texts()) == {"number", "negation"}
            assert page.locator(".conflict del", has_text="50").count() == 1
            assert page.locator(".conflict ins", has_text="500").count() == 1
            assert page.locator(".conflict del", has_text="not").count() == 1
            assert page.locator(".conflict", has_text="500").get_attribute("title") == "number: 50 mg / 500 mg"

    def test_without_a_gate_and_without_a_control(self, opened, recordings):
        page = opened(as_html(replace(recordings, controls=())))
        assert "No gate was given, so nothing was judged." in page.locator("header").inner_text()
        assert page.locator("#gate").count() == 0
        assert "No floor" in page.locator("#what-was-compared").inner_text()
        assert page.locator("#count").inner_text() == "64 of 64 pairs"

    def test_with_no_candidate_left(self, opened, recordings):
        page = opened(as_html(replace(recordings, candidates=(), not_compared={"w4a16": "the engine died"})))
        assert "inconclusive: w4a16." in page.locator("header").inner_text()
        assert "w4a16: not compared: the engine died" in page.locator("#what-was-compared").inner_text()


class TestFile:
    def test_it_needs_nothing_but_itself(self, recordings, verdicts):
        for tag, attributes in Tags(as_html(recordings, verdicts)).tags:
            assert not {"src", "srcset", "style", "action", "data"} & set(attributes)
            assert not [name for name in attributes if name.startswith("on")]
            assert tag != "link"
            assert attributes.get("href", "#").startswith("#")

    def test_the_data_cannot_end_its_script(self, hostile_report):
        inside = hostile_report.partition('id="data">')[2].partition("</script>")[0]
        assert not set(inside) & set("<>&\u2028\u2029")
        data = data_of(hostile_report)
        assert data["candidates"][0]["pairs"]
        assert "<script>" in data["prompts"][0]["text"]

    def test_each_pair_holds_both_texts(self, recordings):
        candidate = data_of(as_html(recordings))["candidates"][2]
        texts = {outcome.prompt_id: outcome.text for outcome in recordings.candidates[2].run.outcomes()}
        prompts = data_of(as_html(recordings))["prompts"]
        assert len(candidate["pairs"]) == 64
        for pair in candidate["pairs"]:
            text_shown = "".join(text for kind, text, *_ in pair["d"] if kind in (0, 2))
            assert text_shown == texts[prompts[pair["p"]]["id"]]

    def test_a_large_comparison_has_its_worst_pairs_and_their_number(self, recordings, verdicts, monkeypatch):
        monkeypatch.setattr(page_data, "MOST_BYTES", 100_000)
        report = as_html(recordings, verdicts)
        data = data_of(report)
        assert len(json.dumps(data, ensure_ascii=False).encode()) < 110_000
        held = {candidate["name"]: len(candidate["pairs"]) for candidate in data["candidates"]}
        assert 5 < held["w8a8-fp8"] < 64
        assert f"{held['w8a8-fp8']} of 64 of w8a8-fp8" in report
        first = data["prompts"][data["candidates"][2]["pairs"][0]["p"]]
        assert first["id"] == "german-02"  # the worst one, as in the Markdown

    def test_a_long_answer_is_cut_with_a_note(self, workspace, tmp_path):
        base = workspace.recorded("base", [{"id": "a", "text": "word " * 50_000}])
        quant = workspace.recorded("quant", [{"id": "a", "text": "other " * 50_000}])
        report = as_html(compared(tmp_path / "store", base, quant, metrics=["identical"]))
        assert len(report) < 120_000
        assert "490,000 more characters in both" in report
