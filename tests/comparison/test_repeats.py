"""Several answers to each prompt, above temperature 0: seeds, chunks, pairs, failures, and the prompt as the unit."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fidelity import baselines
from fidelity.baselines import check
from fidelity.comparison.chance import with_other_baselines
from fidelity.comparison.evidence import verdicts
from fidelity.comparison.pairing import pair_runs
from fidelity.config import Sampling, load_run
from fidelity.errors import ConfigError, IncomparableError
from fidelity.gate import Gate
from fidelity.metrics.diversity import Diversity
from fidelity.metrics.identical import Identical
from fidelity.metrics.tokens import Tokens
from fidelity.pipeline import ComparisonRequest, compare, generate
from fidelity.records import Failure, Prompt
from fidelity.runs.export_prompts import batch_rows, rendered_rows
from fidelity.runs.jobs import Job, jobs_of, prompts_of
from fidelity.stats import reading_order
from fidelity.store.manifests import ResponseCounts
from fidelity.store.runs import RunWriter
from fidelity.store.store import Store
from fidelity.store.token_scores import scores_of
from tests.conftest import Silent
from tests.engines.fake_server import FakeServer, text_reply

N, K = 12, 3
SAMPLED = {"temperature": 0.7, "max_tokens": 8, "repeats": K}


def run(workspace, path, *, store="store", **keys):
    return generate(load_run(path), store=Store(workspace.folder / store), listener=Silent(), **keys)


def by_place(run):
    return {(o.prompt_id, o.repeat): getattr(o, "text", None) for o in run.outcomes()}


def rows(texts):
    """Recorded lines: each prompt's answers in turn; one that is None is not there."""
    return [
        {"id": prompt, "repeat": repeat, "text": text}
        for prompt, answers in texts.items()
        for repeat, text in enumerate(answers)
        if text is not None
    ]


class TestSampling:
    def test_repeats_at_temperature_0_are_refused(self, workspace):
        workspace.prompts("x")
        with pytest.raises(ConfigError, match=r"base.yaml: sampling: repeats: 4 at temperature 0 .* the same answer 4"):
            load_run(workspace.baseline(sampling={"repeats": 4}))

    def test_a_single_repeat_is_what_runs_were_before_there_were_several(self, workspace, monkeypatch):
        """These digests were written down before `repeats` was there: finished runs must be found again."""
        monkeypatch.setattr("fidelity.runs.jobs.identity", lambda *_, **__: {"model": "m"})
        workspace.file("prompts.jsonl", '{"id": "a", "prompt": "Say something."}\n{"id": "b", "prompt": "Say more."}\n')
        before = ["6df66f7435e2af24b57fd58361c1bbf31e8de11357b1c4ef41459be9ce221866"]
        before += ["f848812c7e0a2c1f98cabed23ae0081e45dff234199fdf5fbc948050e5ae0690"]
        for given_ in ({}, {"repeats": 1}):
            sampling = {"temperature": 0.7, "max_tokens": 8, "seed": 3, **given_}
            config = load_run(workspace.baseline(sampling=sampling, metrics=None, batching={"drained": 128}))
            prompts = prompts_of(config, None)
            jobs = jobs_of(config, store=Store(workspace.store), prompts=prompts, as_baseline=True)
            assert [job.digest for job in jobs] == before
            assert "repeats" not in config.model_dump(mode="json")["sampling"]
            assert [[place.prompt.id for place in chunk] for chunk in jobs[0].plan] == [["a"], ["b"]]

    @pytest.mark.usefixtures("fake_vllm")
    def test_the_manifest_of_a_single_repeat(self, workspace):
        workspace.prompts("x", "y")
        made, _ = run(workspace, workspace.baseline(sampling={"max_tokens": 8, "repeats": 1}))
        written = json.loads((made.path / "manifest.json").read_text())
        assert "repeats" not in written["sampling"]
        assert "repeats" not in written["config"]["sampling"]

    def test_every_answer_has_a_seed_of_its_own_that_depends_on_nothing_else(self):
        sampling = Sampling(**SAMPLED)
        seeds = {(p, r): sampling.seed_of(p, r) for p in ("a", "b", "c") for r in range(K)}
        assert len(set(seeds.values())) == 9
        assert all(0 <= seed < 1 << 31 for seed in seeds.values())
        # sha256("0/0/a") begins with a9ca456a; without its last bit that is 1424302773. Finished runs depend on it.
        assert seeds["a", 0] == Sampling(**{**SAMPLED, "max_tokens": 9}).seed_of("a", 0) == 1424302773
        assert (
            Sampling(temperature=0.7, seed=5).seed_of("a", 0) == Sampling(temperature=0.7, seed=5).seed_of("b", 0) == 5
        )


class TestPlan:
    def job(self, n, k, *, seed=0, until_decided=False, chunk=8):
        prompts = tuple(Prompt(f"p{i}", "x") for i in range(n))
        config = SimpleNamespace(drained=chunk, engine=None)
        return Job("run", config, prompts, None, k, seed, "", {}, until_decided=until_decided)

    @given(st.integers(1, 30), st.integers(1, 6), st.integers(0, 5), st.booleans())
    def test_every_answer_is_asked_for_once(self, n, k, seed, until_decided):
        plan = self.job(n, k, seed=seed, until_decided=until_decided).plan
        asked = sorted((place.prompt.id, place.repeat) for chunk in plan for place in chunk)
        assert asked == sorted((f"p{i}", r) for i in range(n) for r in range(k))
        assert max(map(len, plan)) <= max(1, min(8, n * k // 2))

    def test_the_repeats_of_a_prompt_are_spread_over_the_chunks_and_two_seeds_differ(self):
        one, two = (self.job(40, 4, seed=seed, chunk=32).plan for seed in (0, 1))
        assert one != two
        chunks_of_p0 = {number for number, chunk in enumerate(one) for place in chunk if place.prompt.id == "p0"}
        assert len(chunks_of_p0) > 1

    def test_a_gate_reads_whole_prompts_one_after_another(self):
        plan = self.job(9, 3, until_decided=True).plan
        asked = [(place.prompt.id, place.repeat) for chunk in plan for place in chunk]
        order = reading_order([f"p{i}" for i in range(9)])
        assert asked == [(f"p{i}", r) for i in order for r in range(3)]


@pytest.mark.usefixtures("fake_vllm")
class TestGenerated:
    @pytest.fixture(autouse=True)
    def _prompts(self, workspace):
        workspace.prompts(*(f"question number {n}" for n in range(N)))

    def baseline(self, workspace, dtype="float32", **keys):
        engine = {"kind": "vllm", "dtype": dtype}
        return workspace.baseline(sampling=SAMPLED, engine=engine, **keys)

    def test_each_prompt_is_answered_k_times_under_seeds_that_the_control_and_the_candidate_share(self, workspace):
        base, control = run(workspace, self.baseline(workspace))
        assert len(base.outcomes()) == len(by_place(base)) == N * K
        assert base.manifest.counts == ResponseCounts(
            prompts=N, generations=N * K, failures=0, tokens=N * K * 8, longest_prompt=4
        )
        assert base.manifest.sampling.repeats == K
        assert [p.id for p in base.prompts()] == [f"p{n}" for n in range(N)]
        assert all(len({by_place(base)[f"p{n}", r] for r in range(K)}) == K for n in range(N))
        assert by_place(control) == by_place(base)  # in FP32 only the seeds matter, and they are the same
        quant = workspace.run("quant", engine={"kind": "vllm", "dtype": "float32"})
        (other,) = run(workspace, quant, baseline=load_run(workspace.folder / "base.yaml"))
        assert by_place(other) == by_place(base)

    def test_in_bf16_the_control_parts_by_its_batches_alone(self, workspace):
        base, control = run(workspace, self.baseline(workspace, "bfloat16"))
        baseline_texts, control_texts = by_place(base), by_place(control)
        assert baseline_texts != control_texts
        assert (
            sum(baseline_texts[place].split()[:4] == control_texts[place].split()[:4] for place in baseline_texts)
            == N * K
        )

    def test_an_interrupted_run_ends_as_if_it_had_not_been(self, workspace, monkeypatch):
        path = self.baseline(workspace, "bfloat16", control="none", batching={"drained": 24})
        add_chunk = RunWriter.add_chunk

        def interrupted(writer, number, *given):
            if number == 2:
                raise KeyboardInterrupt
            add_chunk(writer, number, *given)

        with monkeypatch.context() as patch:
            patch.setattr(RunWriter, "add_chunk", interrupted)
            with pytest.raises(KeyboardInterrupt):
                run(workspace, path)
        assert len(list(workspace.store.glob("runs/base-*/chunk-*"))) == 2
        (resumed,), (whole,) = run(workspace, path), run(workspace, path, store="whole")
        assert resumed.outcomes() == whole.outcomes()

    def test_until_decided_a_look_sees_whole_prompts_only(self, workspace):
        workspace.prompts(*(f"question number {n}" for n in range(150)))
        base, quant = (
            load_run(path) for path in (self.baseline(workspace, chunk=20), workspace.run("quant", compares="kernels"))
        )
        gate = Gate(margins={"identical": 0.1})
        result = compare(
            ComparisonRequest(base, [quant], [Identical()], gate=gate, until_decided=True),
            store=Store(workspace.store),
            listener=Silent(),
        )
        (scores,) = result.candidates
        prompts = [prompt.id for prompt in scores.run.prompts()]
        assert 0 < len(prompts) < 150
        assert set(by_place(scores.run)) == {(p, r) for p in prompts for r in range(K)}
        ids = [f"p{n}" for n in range(150)]
        assert set(prompts) == {ids[i] for i in reading_order(ids)[: len(prompts)]}
        (line,) = [line for line in verdicts(result, gate)["quant"].lines if line.kind == "margin"]
        assert line.n == len(prompts)

    def test_every_answer_of_the_baseline_is_scored_and_has_token_columns(self, workspace):
        base, quant = load_run(self.baseline(workspace)), load_run(workspace.run("quant"))
        result = compare(ComparisonRequest(base, [quant], [Tokens()]), store=Store(workspace.store), listener=Silent())
        (scores,) = result.candidates
        everything = sorted((f"p{n}", r) for n in range(N) for r in range(K))
        for run in (result.baseline, result.controls[0].run, scores.run):
            (stored,) = scores_of(run)
            assert stored.keys == everything
        column = scores.columns["top1_agreement"].column
        assert len(column.values) == N * K
        assert None not in column.values

    def test_a_candidate_may_not_ask_another_number_of_times(self, workspace):
        quant = load_run(workspace.run("quant", sampling={**SAMPLED, "repeats": 2}))
        with pytest.raises(ConfigError, match="its 'sampling' differs from that of its baseline base"):
            compare(
                ComparisonRequest(load_run(self.baseline(workspace)), [quant], [Identical()]),
                store=Store(workspace.store),
                listener=Silent(),
            )

    @pytest.mark.parametrize("other", [1, 2])
    def test_stored_runs_with_other_repeats_are_not_compared(self, workspace, other):
        base, _ = run(workspace, self.baseline(workspace))
        few, _ = run(
            workspace,
            workspace.run(
                "few", prompts="prompts.jsonl", sampling={**SAMPLED, "repeats": other}, control={"repeats": 1}
            ),
        )
        for one, two, differing in (
            (base, few, f"repeats {K} and {other}"),
            (few, base, f"repeats {other} and {K}"),
        ):
            with pytest.raises(IncomparableError, match=rf"have different sampling \({differing}\)"):
                pair_runs(one, two)

    def test_an_exported_baseline_comes_back_with_its_repeats(self, workspace):
        runs = run(workspace, self.baseline(workspace))
        baselines.export(runs, workspace.folder / "kept")
        back = baselines.adopt(workspace.folder / "kept", Store(workspace.folder / "elsewhere"))
        assert [b.outcomes() for b in back] == [r.outcomes() for r in runs]
        options = {"remembered": workspace.folder / "hashes.json"}
        config = load_run(workspace.folder / "base.yaml")
        assert all(finding.fits for finding in check(workspace.folder / "kept", config=config, **options))
        config = config.model_copy(update={"sampling": Sampling(temperature=0.7, max_tokens=8)})
        (finding,) = [f for f in check(workspace.folder / "kept", config=config, **options) if f.what == "sampling"]
        assert finding.detail == "repeats was 3, is 1"


ANSWERS = {"a": ["one two", "one three", "one four"], "b": ["x", "y", "z"]}


class TestElsewhere:
    """Engines outside fidelity's child processes get the same seeds."""

    def test_a_server_is_asked_for_each_answer_with_its_own_seed(self, workspace):
        workspace.prompts("one", "two")
        with FakeServer(lambda request: text_reply(f"{request.body.get('seed')}")) as server:
            engine = {"kind": "openai", "base_url": server.url}
            path = workspace.baseline(model=None, engine=engine, sampling=SAMPLED, control="none")
            (made,) = run(workspace, path)
        sampling = Sampling(**SAMPLED)
        assert by_place(made) == {(p, r): str(sampling.seed_of(p, r)) for p in ("p0", "p1") for r in range(K)}

    def test_prompts_go_out_once_for_each_answer(self, workspace):
        workspace.prompts("one", "two")
        config = load_run(workspace.baseline(model=None, engine={"kind": "recorded", "path": "x"}, sampling=SAMPLED))
        out = rendered_rows(config, limit=None)
        assert {(row["id"], row["repeat"]): row["sampling"]["seed"] for row in out} == {
            (p, r): config.sampling.seed_of(p, r) for p in ("p0", "p1") for r in range(K)
        }
        assert not any("repeats" in row["sampling"] for row in out)
        (first, _) = batch_rows(config, limit=None)
        assert first["body"]["n"] == K
        assert "repeats" not in first["body"]

    def test_a_batch_of_several_choices_is_read_as_repeats(self, workspace):
        choices = [{"index": n, "message": {"content": f"answer {n}"}} for n in range(K)]
        row = {"custom_id": "a", "response": {"status_code": 200, "body": {"choices": choices}}}
        (made, *_) = run(workspace, workspace.recorded("base", [row]))
        assert by_place(made) == {("a", n): f"answer {n}" for n in range(K)}


class TestRecorded:
    def compare(self, workspace, candidate, *metrics, baseline=ANSWERS):
        """A candidate against a baseline and a control with the same outputs."""
        workspace.file("again.jsonl", "\n".join(json.dumps(row) for row in rows(baseline)))
        base = workspace.recorded("base", rows(baseline), control={"path": "again.jsonl"})
        quant = workspace.recorded("quant", rows(candidate))
        chosen = list(metrics) or [Identical()]
        return compare(
            ComparisonRequest(load_run(base), [load_run(quant)], chosen),
            store=Store(workspace.store),
            listener=Silent(),
        )

    def test_pairs_are_by_prompt_and_repeat_and_averaged_inside_their_prompt(self, workspace):
        # a: one of three repeats is the same, 1/3; b: two of three, 2/3. The prompts' mean is 1/2, and the floor is 1.
        result = self.compare(workspace, {"a": ["one two", "-", "-"], "b": ["x", "y", "-"]})
        (scores,) = result.candidates
        assert scores.prompt_ids == ("a", "b", "a", "b", "a", "b")
        assert scores.columns["identical"].column.values == (1.0, 1.0, 0.0, 1.0, 0.0, 0.0)
        verdict = verdicts(result, Gate(margins={"identical": 0.9}))["quant"]
        (line,) = [line for line in verdict.lines if line.kind == "margin"]
        assert (line.n, line.value) == (2, pytest.approx(0.5))

    def test_a_repeat_that_failed_is_named_and_its_prompt_counts_as_failed_once(self, workspace):
        result = self.compare(workspace, {"a": ["one two", None, None], "b": ["x", "y", "z"]})
        (scores,) = result.candidates
        assert scores.prompt_ids == ("a", "b", "b", "b")
        assert scores.failures == {"a": "quant, repeat 1: quant.jsonl has no output for it"}
        assert scores.failed_prompts == ("a",)
        (line,) = [
            line for line in verdicts(result, Gate(margins={"identical": 0.9}))["quant"].lines if line.kind == "failed"
        ]
        assert line.value == 0.5
        assert line.reason.startswith("1 of 2 prompts without an answer in some repeat, at least 2.5%")
        pairs = scores.pairing.pairs
        assert [len(pair.baselines) for pair in pairs] == [len(pair.candidates) for pair in pairs] == [1, 3, 3, 3]
        (failed, _) = [o for o in scores.run.outcomes() if isinstance(o, Failure)]
        assert failed.repeat == 1

    def test_recordings_with_other_repeats_are_not_compared(self, workspace):
        result = self.compare(workspace, {"a": ["one two"], "b": ["x"]})
        assert "has 3 answers per prompt and quant has 1" in result.not_compared["quant"]

    @pytest.mark.parametrize(
        ("lines", "message"),
        [
            ([{"id": "a", "text": "x", "repeat": -1}], "'repeat' must be a number from 0 .*got -1"),
            ([{"id": "a", "text": "x", "repeat": True}], "'repeat' must be a number from 0 .*got true"),
            ([{"id": "a", "text": "x", "repeat": 2}, {"id": "a", "text": "y"}], "a 'repeat' 2 but no 1"),
            ([{"id": "a", "text": "x", "repeat": 1}, {"id": "a", "text": "y", "repeat": 1}], "but no 0"),
            ([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}], "line 2: the id 'a' is used twice"),
        ],
    )
    def test_a_file_whose_repeats_are_wrong(self, workspace, lines, message):
        with pytest.raises(ConfigError, match=message):
            run(workspace, workspace.recorded("base", lines))

    def test_a_stranger_is_never_another_repeat_of_the_same_prompt(self, workspace):
        result = self.compare(workspace, {"a": ["one two", "-", None], "b": ["x", "y", "-"]})
        pairs = result.candidates[0].pairing.pairs
        moved = with_other_baselines(pairs)
        assert [(m.prompt.id, m.baseline.prompt_id) for m in moved] == [(i, "ab".replace(i, "")) for i in "ababb"]
        # b's third repeat has no counterpart among a's two: the first comes again.
        assert [m.baseline.repeat for m in moved] == [0, 0, 1, 1, 0]
        assert [m.candidate for m in moved] == [p.candidate for p in pairs]

    def test_a_candidate_that_always_says_the_same_has_lost_its_diversity(self, workspace):
        result = self.compare(workspace, {"a": ["one two"] * 3, "b": ["x"] * 3}, Diversity())
        (scores,) = result.candidates
        # The baseline's answers to a share one of two words, edit similarity 1/2; those to b share none.
        assert scores.columns["diversity"].column.values == (0.0,) * 6
        assert scores.columns["diversity_loss"].column.values == (0.5, 1.0) * 3
        assert scores.columns["diversity_similarity"].column.values == (0.5, 0.0) * 3
        (control,) = result.controls
        assert control.columns["diversity_loss"].column.values == (0.0,) * 6

    def test_without_repeats_diversity_is_silent_until_a_gate_asks_for_it(self, workspace):
        one_each = {"a": ["one two"], "b": ["x"]}
        result = self.compare(workspace, {"a": ["one"], "b": ["y"]}, Diversity(), Identical(), baseline=one_each)
        (scores,) = result.candidates
        assert set(scores.columns) == {"identical"}
        assert scores.unscored == {}
        (line,) = [
            line
            for line in verdicts(result, Gate(margins={"diversity_loss": 0.1}))["quant"].lines
            if line.kind == "margin"
        ]
        assert (line.outcome, line.n) == ("inconclusive", 0)
        assert "there is only one answer to each prompt" in line.reason
