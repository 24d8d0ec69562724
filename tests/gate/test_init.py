"""`fidelity gate init` proposes limits without a look at the candidate, which can't pass by them."""

import json
import re
from dataclasses import replace

import pytest
import yaml

from fidelity.gate import PURPOSES, Gate, draft, judge, load_gate
from fidelity.gate.proposals import ROOM, SHARES, propose_margin, propose_share, propose_tail
from fidelity.stats import fewest_prompts
from tests.gate.evidence import by_id, evidence, ids, manifest, measured

N = 100


def similar(floor, n=300, chance=0.1, candidate=0.5):
    return replace(measured([candidate] * n, [floor] * n), chance=chance)


class TestProposals:
    @pytest.mark.parametrize("purpose", PURPOSES)
    def test_a_margin_is_a_share_of_the_way_to_other_prompts_answers(self, purpose):
        # from a floor of 0.9 to 0.1: 0.8 of room
        proposal = propose_margin(similar(0.9, n=1000), purpose, confidence=0.95)
        assert proposal.limit == pytest.approx(ROOM[purpose] * 0.8)
        assert proposal.why[0].startswith("Two runs of the model: 0.900 (0.100 from identical); answers")

    def test_the_candidate_changes_nothing(self):
        proposals = {propose_margin(similar(0.9, candidate=c), "strict", confidence=0.95) for c in (0.0, 0.5, 0.9, 1.0)}
        assert len(proposals) == 1

    def test_no_margin_is_below_what_the_prompts_can_show(self):
        # 5% of 0.8 is 0.04, which takes 86 prompts; with 40 a candidate without drift passes 0.09 at best
        proposal = propose_margin(similar(0.9, n=40), "strict", confidence=0.95)
        assert fewest_prompts(proposal.limit) <= 40 < fewest_prompts(0.04)
        assert proposal.limit == pytest.approx(0.09)
        assert "40 prompts can't resolve less than 0.083 (at 95%): 0.09." in proposal.why

    def test_a_stricter_purpose_never_has_a_larger_margin(self):
        for n in (10, 40, 200, 1000):
            limits = [propose_margin(similar(0.8, n=n), p, confidence=0.95).limit for p in PURPOSES]
            assert limits == sorted(limits)

    def test_lower_is_better_goes_to_the_worst_there_is(self):
        # a mean of 0.2 between two runs of the model leaves 0.8 up to 1
        proposal = propose_margin(measured([0.5] * 1000, [0.2] * 1000, better="lower"), "balanced", confidence=0.95)
        assert proposal.limit == pytest.approx(0.08)

    def test_a_floor_at_the_chance_level_leaves_no_margin(self):
        proposal = propose_margin(similar(0.1, chance=0.1), "lenient", confidence=0.95)
        assert proposal.limit is None
        assert "no margin is meaningful" in proposal.why[1]

    def test_two_prompts_show_no_margin(self):
        assert propose_margin(similar(0.9, n=2), "lenient", confidence=0.95).limit is None

    def test_a_spread_of_the_floor_asks_for_more_prompts(self):
        steady = propose_margin(similar(0.7, n=200), "balanced", confidence=0.95)
        wild = measured([0.5] * 200, [0.4, 1.0] * 100)
        assert propose_margin(wild, "balanced", confidence=0.95).needed > 2 * steady.needed

    def test_with_two_controls_the_spread_is_theirs(self):
        # both vary alike from prompt to prompt, which leaves nothing of it in an excess
        prompts_differ = measured([0.5] * 200, [0.4, 1.0] * 100, [0.4, 1.0] * 100)
        steady = propose_margin(similar(0.7, n=200, chance=None), "balanced", confidence=0.95)
        assert propose_margin(prompts_differ, "balanced", confidence=0.95).needed == steady.needed

    def test_the_worst_prompts_may_lose_twice_as_much(self):
        assert propose_tail(similar(0.9, n=300), "balanced", confidence=0.95).limit == pytest.approx(0.16)

    @pytest.mark.parametrize("purpose", PURPOSES)
    def test_breaks_come_on_top_of_the_model_s_own(self, purpose):
        # 30 of 3,000 prompts break between two runs of the model
        own = measured([0.0] * 3000, [1.0] * 30 + [0.0] * 2970, better="lower")
        assert propose_share(own, purpose, confidence=0.95).limit == pytest.approx(0.01 + SHARES[purpose])

    def test_few_prompts_show_no_small_share(self):
        # of 72 prompts without a break, 1 - 0.05^(1/72) = 4.1% is still possible
        proposal = propose_share(measured([1.0] * 72, [0.0] * 72, better="lower"), "strict", confidence=0.95)
        assert proposal.limit == pytest.approx(0.05)
        assert "72 prompts can't resolve less than 0.041 (at 95%): 0.05." in proposal.why


class TestDraft:
    def columns(self):
        return {
            "rougeL": similar(0.9),
            "sts": similar(0.95, chance=0.15),
            "identical": similar(0.2, chance=0.0),
            "break_json": measured([1.0] * 300, [0.0] * 300, better="lower"),
        }

    def test_it_is_a_gate_that_names_who_it_can_not_let_pass(self, tmp_path):
        path = tmp_path / "gate.yaml"
        path.write_text(draft(evidence(self.columns()), purpose="strict"))
        gate = load_gate(path)
        assert gate.provisional == manifest("quant").id
        assert gate.margins == {"sts": pytest.approx(0.04), "rougeL": pytest.approx(0.04)}
        assert gate.tail == {"sts": pytest.approx(0.08), "rougeL": pytest.approx(0.08)}
        assert gate.breaks == {"json": pytest.approx(0.01)}

    def test_the_candidate_s_numbers_are_not_in_it(self):
        worse = {name: replace(m, candidate=by_id([0.0] * 300)) for name, m in self.columns().items()}
        assert draft(evidence(worse)) == draft(evidence(self.columns()))

    def test_no_margin_on_an_implausible_floor(self):
        text = draft(evidence(self.columns()))
        assert re.search(r"# identical: not proposed, since its floor of 0.200 is in the lower half", text)

    def test_a_floor_may_not_fall_by_more_than_the_margin(self, tmp_path):
        # 0.9 and 0.95 less margins of 0.04; 0.6 less 0.1 is below 0.55, half way from 0.1 to 1
        path = tmp_path / "gate.yaml"
        path.write_text(draft(evidence(self.columns()), purpose="strict"))
        assert load_gate(path).worst_floor == {"sts": pytest.approx(0.91), "rougeL": pytest.approx(0.86)}
        path.write_text(draft(evidence({"rougeL": similar(0.6, chance=0.1)}), purpose="lenient"))
        assert load_gate(path).worst_floor == {"rougeL": pytest.approx(0.55)}

    def test_a_floor_that_any_drift_could_hide_in_is_not_accepted_by_itself(self):
        text = draft(evidence({"rougeL": similar(0.3), "sts": similar(0.95)}))
        assert "  # rougeL: 0.3 would accept a floor that any drift could hide in." in text
        assert yaml.safe_load(text)["worst_floor"] == {"sts": pytest.approx(0.86)}

    def test_several_candidates_ask_for_more(self):
        alone = yaml.safe_load(draft(evidence(self.columns()), purpose="strict"))
        together = yaml.safe_load(draft(evidence(self.columns(), candidates=20), purpose="strict"))
        assert together["breaks"]["json"] > alone["breaks"]["json"]


GOOD = {"sts": measured([0.9] * 300, [0.9] * 300)}


class TestProvisional:
    @pytest.mark.parametrize(
        "name", [manifest("quant").id, "quant-00000000", f"renamed-{manifest('quant').digest[:8]}"]
    )
    def test_the_candidate_it_was_drafted_beside_can_not_pass(self, name):
        verdict = judge(Gate(margins={"sts": 0.5}, provisional=name), evidence(GOOD))
        assert verdict.outcome == "inconclusive"
        assert verdict.reason.startswith(f"The gate is provisional: its limits were proposed for {name}.")
        assert "pass" not in {line.outcome for line in verdict.lines}

    def test_nor_fail(self):
        bad = {"sts": measured([0.0] * 300, [0.9] * 300)}
        verdict = judge(Gate(margins={"sts": 0.1}, provisional="quant-00000000"), evidence(bad))
        assert verdict.outcome == "inconclusive"

    def test_another_candidate_is_judged_and_told(self):
        verdict = judge(Gate(margins={"sts": 0.4}, provisional="other-00000000"), evidence(GOOD))
        assert verdict.outcome == "pass"
        assert "the limits are provisional: review them and delete 'provisional'" in verdict.reason

    def test_without_the_line_it_is_a_gate(self):
        assert judge(Gate(margins={"sts": 0.4}), evidence(GOOD)).outcome == "pass"


class TestCommand:
    @pytest.fixture
    def files(self, workspace):
        rows = [{"id": f"p{n}", "text": f"answer {n}"} for n in range(N)]
        workspace.file("again.jsonl", "\n".join(map(json.dumps, [{**rows[0], "text": "again"}, *rows[1:]])))
        metrics = ["identical", "rouge", "breaks"]
        base = workspace.recorded("base", rows, control={"path": "again.jsonl"}, metrics=metrics)
        good = workspace.recorded("good", [{**rows[0], "text": "another"}, *rows[1:]])
        awful = workspace.recorded("awful", [{**row, "text": "x"} for row in rows])
        return base, good, awful

    def comparison(self, workspace, name):
        (path,) = (workspace.folder / "fidelity-store" / "comparisons").glob(f"base--{name}-*")
        return path

    @pytest.mark.parametrize("purpose", PURPOSES)
    @pytest.mark.parametrize("candidate", ["good", "awful"])
    def test_init_then_check_of_the_same_comparison_is_never_a_pass(
        self, fidelity, workspace, files, purpose, candidate
    ):
        base, *others = files
        fidelity("compare", base, others[candidate == "awful"])
        path = self.comparison(workspace, candidate)
        code, out, _ = fidelity("gate", "init", path, "--purpose", purpose)
        assert (code, f"(purpose: {purpose})" in out) == (0, True)
        for command in (("gate", "check", path), ("compare", base, others[candidate == "awful"])):
            reports = ("--json", "out.json", "--junit", "out.xml", "--markdown", "out.md", "--html", "out.html")
            code, out, _ = fidelity(*command, "--gate", "gate.yaml", *reports)
            assert (code, "PASS" in out) == (2, False)
            assert "The gate is provisional" in out
            written = json.loads((workspace.folder / "out.json").read_text())["comparisons"][0]["verdict"]
            assert "pass" not in {written["outcome"], *(line["outcome"] for line in written["lines"])}
            for report in ("out.md", "out.html"):
                assert "✅" not in (workspace.folder / report).read_text()

    def test_once_somebody_agreed_it_judges(self, fidelity, workspace, files):
        base, good, awful = files
        fidelity("compare", base, good)
        fidelity("gate", "init", self.comparison(workspace, "good"), "--purpose", "lenient")
        path = workspace.folder / "gate.yaml"
        path.write_text(re.sub(r"^provisional: .*\n", "", path.read_text(), flags=re.MULTILINE))
        assert fidelity("compare", base, good, "--gate", path)[0] == 0
        assert fidelity("compare", base, awful, "--gate", path)[0] == 1

    def test_the_gate_is_the_same_whatever_the_candidate(self, fidelity, workspace, files):
        base, good, awful = files
        texts = []
        for name, candidate in (("good", good), ("awful", awful)):
            fidelity("compare", base, candidate)
            fidelity("gate", "init", self.comparison(workspace, name), "--output", f"{name}-gate.yaml")
            lines = (workspace.folder / f"{name}-gate.yaml").read_text().splitlines()
            texts.append([line for line in lines if not line.startswith("provisional:")])
        assert texts[0] == texts[1]

    def test_without_a_gate_nothing_is_called_a_pass(self, fidelity, workspace, files):
        base, good, _ = files
        reports = ("--json", "out.json", "--junit", "out.xml", "--markdown", "out.md", "--html", "out.html")
        code, out, _ = fidelity("compare", base, good, *reports)
        assert (code, "PASS" in out.upper().replace("PASSED", "")) == (0, False)
        assert json.loads((workspace.folder / "out.json").read_text())["comparisons"][0]["verdict"] is None
        assert "<skipped" in (workspace.folder / "out.xml").read_text()
        assert "✅" not in (workspace.folder / "out.md").read_text()
        assert 'class="badge pass"' not in (workspace.folder / "out.html").read_text()

    def test_ids_are_those_of_the_store(self, workspace, fidelity, files):
        fidelity("compare", files[0], files[1])
        fidelity("gate", "init", self.comparison(workspace, "good"))
        name = yaml.safe_load((workspace.folder / "gate.yaml").read_text())["provisional"]
        assert (workspace.folder / "fidelity-store" / "runs" / name).is_dir()


class TestCalmColumns:
    """Forced tokens lead the gate; free-running text joins them where enough runs show its noise."""

    def columns(self, controls):
        same = [[1.0] * 200] * controls
        return {name: measured([0.99] * 200, *same, name=name) for name in ("ear", "top1_agreement", "sts", "rougeL")}

    @pytest.mark.parametrize(
        ("controls", "names"),
        [
            (1, ["ear", "top1_agreement"]),
            (3, ["ear", "top1_agreement"]),
            (4, ["ear", "top1_agreement", "sts", "rougeL"]),
        ],
    )
    def test_what_is_written_as_a_limit(self, tmp_path, controls, names):
        path = tmp_path / "gate.yaml"
        runs = tuple(manifest(f"base.control{n}") for n in range(controls))
        path.write_text(draft(evidence(self.columns(controls), prompt_ids=tuple(ids(200)), control_manifests=runs)))
        assert list(load_gate(path).margins) == names

    def test_a_fiftieth_of_the_way_is_balanced(self):
        proposal = propose_margin(self.columns(1)["ear"], "balanced", confidence=0.95)
        assert proposal.limit == pytest.approx(0.02)
        assert proposal.needed <= 200

    def test_a_limit_is_one_that_a_copy_without_drift_passes(self):
        # 72 prompts without any spread can't show 0.02: 68 take 0.05.
        proposal = propose_margin(measured([1.0] * 72, [1.0] * 72, name="ear"), "balanced", confidence=0.95)
        assert proposal.limit == pytest.approx(0.05)
        assert proposal.needed <= 72

    def test_a_share_leaves_room_for_what_another_run_may_well_have(self):
        # 4 of 72 in the control: another run has 9 at most in 95% (beta-binomial), and 9 of 72 may be 20.8% at 95%.
        proposal = propose_share(
            measured([0.0] * 72, [1.0] * 4 + [0.0] * 68, better="lower"), "balanced", confidence=0.95
        )
        assert proposal.limit == pytest.approx(0.21)
        assert "Another run may have up to 9" in proposal.why[-1]
