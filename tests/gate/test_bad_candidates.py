"""One bad candidate does not stop the others, and a report that can't be written changes no verdict."""

import json

import pytest

from fidelity.errors import StoreError

N = 40


@pytest.fixture
def rows():
    return [{"id": f"p{n}", "text": f"answer {n}"} for n in range(N)]


@pytest.fixture
def base(workspace, rows):
    workspace.file("again.jsonl", "\n".join(map(json.dumps, [{**rows[0], "text": "again"}, *rows[1:]])))
    return workspace.recorded("base", rows, control={"path": "again.jsonl"}, metrics=["identical"])


@pytest.fixture
def good(workspace, rows):
    return workspace.recorded("good", [{**rows[0], "text": "another"}, *rows[1:]])


@pytest.fixture
def gate(workspace):
    return workspace.file("gate.yaml", "margins: {identical: 0.2}")


class TestBadCandidates:
    def bad(self, workspace, rows, what):
        """A candidate with one fault: its file, and the message about it."""
        match what:
            case "a row that is no JSON":
                path = workspace.recorded("bad", rows)
                workspace.file("bad.jsonl", json.dumps(rows[0]) + "\n{oops\n")
                return path, "bad.jsonl, line 2"
            case "a row without an answer":
                return workspace.recorded("bad", [*rows[:3], {"id": "p3"}]), "bad.jsonl, line 4"
            case "an id twice":
                return workspace.recorded("bad", [*rows, rows[0]]), f"line {N + 1}: the id 'p0'"
            case "a recording that is not there":
                return workspace.run("bad", model=None, engine={"kind": "recorded", "path": "none.jsonl"}), "none.jsonl"
            case "an empty recording":
                return workspace.recorded("bad", []), "contains no recorded outputs"
            case "a YAML file that is not there":
                return workspace.folder / "bad.yaml", "bad.yaml: can't be read (No such file or directory)"
            case "an unknown key":
                return workspace.file("bad.yaml", "name: bad\nengin: {kind: vllm}\n"), "did you mean 'engine'?"
            case "a key twice":
                return workspace.file("bad.yaml", "name: bad\nname: bad2\n"), "line 2: duplicate key 'name'"
            case "no YAML":
                return workspace.file("bad.yaml", "name: ["), "bad.yaml: not YAML"
            case "another sampling":
                path = workspace.recorded("bad", rows, sampling={"temperature": 0.5})
                return path, "its 'sampling' differs from that of its baseline"
            case "another set of prompts":
                return workspace.recorded("bad", [{"id": "x", "text": "y"}]), "share no answered prompt"
            case "a model that is not there":
                return workspace.run("bad", model="./nowhere"), "no such directory"
            case "a stored run that is not there":
                return workspace.run("bad", model=None, engine={"kind": "stored", "path": "gone"}), "gone"

    @pytest.mark.parametrize(
        "what",
        [
            "a row that is no JSON",
            "a row without an answer",
            "an id twice",
            "a recording that is not there",
            "an empty recording",
            "a YAML file that is not there",
            "an unknown key",
            "a key twice",
            "no YAML",
            "another sampling",
            "another set of prompts",
            "a model that is not there",
            "a stored run that is not there",
        ],
    )
    @pytest.mark.parametrize("first", [True, False])
    def test_is_named_and_the_others_are_compared(self, fidelity, workspace, rows, base, good, gate, what, first):
        bad, why = self.bad(workspace, rows, what)
        candidates = (bad, good) if first else (good, bad)
        code, out, error = fidelity("compare", base, *candidates, "--gate", gate, "--json", "out.json")
        assert code == 2
        assert "good: PASS" in out
        assert why in out
        assert "not compared" in error
        assert "Traceback" not in error
        written = json.loads((workspace.folder / "out.json").read_text())
        assert [one["verdict"]["outcome"] for one in written["comparisons"]] == ["pass"]
        assert len(written["not_compared"]) == 1

    @pytest.mark.parametrize(
        "what", ["a YAML file that is not there", "another sampling", "a recording that is not there"]
    )
    def test_alone_it_is_an_error_before_anything_is_done(self, fidelity, workspace, rows, base, gate, what):
        bad, why = self.bad(workspace, rows, what)
        code, out, error = fidelity("compare", base, bad, "--gate", gate)
        assert code == 2
        assert why in error
        assert "PASS" not in out
        assert not list((workspace.folder / "fidelity-store").glob("runs/*"))

    def test_a_fail_outweighs_it(self, fidelity, workspace, rows, base, gate):
        worse = workspace.recorded("worse", [{**row, "text": "x"} for row in rows])
        code, out, _ = fidelity("compare", base, worse, workspace.folder / "none.yaml", "--gate", gate)
        assert (code, "worse: FAIL" in out) == (1, True)

    def test_without_a_gate_it_is_2_too(self, fidelity, workspace, base, good):
        assert fidelity("compare", base, good, workspace.folder / "none.yaml")[0] == 2

    @pytest.mark.parametrize("name", ["base.yaml", "none.yaml"])
    def test_a_bad_baseline_is_an_error(self, fidelity, workspace, rows, good, name):
        workspace.recorded("base", [*rows, rows[0]])
        code, out, error = fidelity("compare", workspace.folder / name, good)
        assert (code, out) == (2, "")
        assert name.split(".")[0] in error


REPORTS = ("--json", "--markdown", "--junit", "--html")


class TestReports:
    @pytest.mark.parametrize("option", REPORTS)
    def test_folders_are_made(self, fidelity, workspace, base, good, gate, option):
        assert fidelity("compare", base, good, "--gate", gate, option, "a/b/out")[0] == 0
        assert (workspace.folder / "a" / "b" / "out").stat().st_size

    @pytest.mark.parametrize("option", REPORTS)
    @pytest.mark.parametrize("place", [".", "gate.yaml/out", "base.jsonl/x/out", "a" * 300])
    def test_a_path_that_can_not_be_written_is_refused_before_any_work(
        self, fidelity, workspace, base, good, gate, option, place
    ):
        code, out, error = fidelity("compare", base, good, "--gate", gate, option, place)
        assert (code, out) == (2, "")
        assert f"{option} {place}: can't be written" in error
        assert not list((workspace.folder / "fidelity-store").glob("runs/*"))

    @pytest.mark.parametrize("name", ["base.yaml", "good.yaml", "gate.yaml", "./x/../gate.yaml"])
    def test_nor_one_that_the_command_reads(self, fidelity, workspace, base, good, gate, name):
        (workspace.folder / "x").mkdir()
        before = (workspace.folder / name).read_text()
        code, _, error = fidelity("compare", base, good, "--gate", gate, "--json", name)
        assert (code, "would overwrite a file" in error) == (2, True)
        assert (workspace.folder / name).read_text() == before

    def test_nor_one_file_for_two_reports(self, fidelity, base, good, gate):
        code, _, error = fidelity("compare", base, good, "--gate", gate, "--json", "out", "--html", "out")
        assert (code, "--json is written to it" in error) == (2, True)

    def test_looking_leaves_nothing_behind_and_harms_nothing(self, fidelity, workspace, base):
        workspace.file("old.json", "before")
        fidelity("compare", base, workspace.folder / "none.yaml", "--json", "old.json", "--html", "new.html")
        assert (workspace.folder / "old.json").read_text() == "before"
        assert not (workspace.folder / "new.html").exists()

    @pytest.mark.parametrize(("candidate", "expected"), [("good", 0), ("worse", 1), ("odd", 2)])
    @pytest.mark.parametrize("option", REPORTS)
    def test_one_that_fails_at_the_end_changes_no_verdict(
        self, fidelity, workspace, rows, base, good, gate, monkeypatch, candidate, expected, option
    ):
        workspace.recorded("worse", [{**row, "text": "x"} for row in rows])
        workspace.recorded("odd", [{**row, "text": "x"} if n < 8 else row for n, row in enumerate(rows)])

        def write(path, text):
            if path.name == "lost":
                raise StoreError(f"{path}: can't be written (No space left on device)")
            path.write_text(text)

        monkeypatch.setattr("fidelity.cli.reports.write", write)
        other = next(o for o in REPORTS if o != option)
        path = workspace.folder / f"{candidate}.yaml"
        code, _, error = fidelity("compare", base, path, "--gate", gate, option, "lost", other, "other")
        assert code == expected
        assert "lost: can't be written (No space left on device)" in error
        assert (workspace.folder / "other").stat().st_size  # the other report is there

    def test_the_step_summary_changes_none_either(self, fidelity, workspace, base, good, gate, monkeypatch):
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(workspace.folder))
        code, _, error = fidelity("compare", base, good, "--gate", gate)
        assert (code, "step summary can't be written" in error) == (0, True)

    def test_without_a_gate_it_is_an_error(self, fidelity, workspace, base, good, monkeypatch):
        def write(path, text):
            raise StoreError("full")

        monkeypatch.setattr("fidelity.cli.reports.write", write)
        assert fidelity("compare", base, good, "--json", "out.json")[0] == 2

    def test_gate_check_looks_first_too(self, fidelity, workspace, base, good, gate):
        fidelity("compare", base, good)
        (path,) = (workspace.folder / "fidelity-store" / "comparisons").glob("base--good-*")
        assert fidelity("gate", "check", path, "--gate", gate, "--json", "deep/er/out.json")[0] == 0
        code, out, _ = fidelity("gate", "check", path, "--gate", gate, "--json", "gate.yaml")
        assert (code, out) == (2, "")
