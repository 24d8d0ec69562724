"""What reports are made from: the recordings that come with the package, and a comparison that means harm."""

import pytest

from fidelity.config import load_run
from fidelity.gate import Line, Verdict
from fidelity.metrics import metric_of_kind
from fidelity.pipeline import compare
from fidelity.store.store import Store
from tests.conftest import ROOT, Silent, Workspace

RECORDED = ROOT / "examples" / "recordings"
HOSTILE = (
    "<script>window.ran = 'script'</script><img src=x onerror=\"window.ran = 'img'\"> ]]> </script> <!-- </textarea>\n"
    "```\n````\n~~~\n@octocat #1 http://example.com www.example.com <b>bold</b> [link](javascript:alert) ![i](x.png)\n"
    "\x1b[31mred\x1b[0m NUL \x00 \u202egnp.exe\u202c \u200f \u2028 &lt; &amp; {{7*7}} ${7}\n"
    "</details>\n| a | b |\n::error::injected\n"
)


def compared(store, baseline, *candidates, metrics=("identical", "rouge", "prefix_agreement")):
    return compare(
        load_run(baseline),
        [load_run(path) for path in candidates],
        metrics=[metric_of_kind(kind) for kind in metrics],
        store=Store(store),
        listener=Silent(),
    )


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """BF16 against itself in another batch, with other kernels, and in FP8; no encoder is needed."""
    files = [RECORDED / f"{name}.yaml" for name in ("bf16", "bf16-serial", "bf16-eager", "w8a8-fp8")]
    return compared(tmp_path_factory.mktemp("recordings") / "store", *files)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """Ids, prompts, answers, a label and a reason for failing that would act if anything let them."""
    workspace = Workspace(tmp_path_factory.mktemp("hostile"))
    ids = ["plain", f"id {HOSTILE}"]

    def rows(*texts):
        return [{"id": i, "category": HOSTILE, "prompt": HOSTILE, "text": t} for i, t in zip(ids, texts, strict=False)]

    workspace.file("again.jsonl", "")
    workspace.recorded("again", rows("one two", HOSTILE))
    base = workspace.recorded("base", rows("one two", HOSTILE), control={"path": "again.jsonl"}, label=HOSTILE)
    quant = workspace.recorded("quant", rows(HOSTILE, "three " + HOSTILE), label=HOSTILE)
    silent = workspace.recorded("silent", rows("one two"))
    return compared(workspace.store, base, quant, silent, metrics=["identical", "rouge"])


def line(outcome, *, kind="margin", name="rougeL", reason="Because.", **numbers):
    return Line(kind, name, outcome, reason, **numbers)


def verdict(candidate, outcome, *lines, reason="Because."):
    return Verdict(candidate, outcome, reason, lines, confidence=0.95, seed=0)


@pytest.fixture(scope="session")
def verdicts():
    """One of each outcome, for the recordings."""
    failed = line("pass", kind="failed", name="failed", value=0.0, limit=0.02, lower=0.0, upper=0.0457, n=64)
    return {
        "bf16-serial": verdict(
            "bf16-serial", "pass", line("pass", value=-0.02, limit=0.05, lower=-0.06, upper=0.012, n=64), failed
        ),
        "bf16-eager": verdict(
            "bf16-eager",
            "inconclusive",
            line("inconclusive", kind="precondition", name="engine", reason="Its mode is eager."),
            line("inconclusive", value=0.33, limit=0.05, lower=0.2, upper=0.45, prompts_needed=900, n=64),
            reason="Its engine is another one.",
        ),
        "w8a8-fp8": verdict(
            "w8a8-fp8",
            "fail",
            line("fail", value=0.58, limit=0.05, lower=0.4704, upper=0.66, n=64, reason="rougeL drifted."),
            line("fail", name="identical", value=0.688, limit=0.1, lower=0.5, upper=0.8, n=64, decides=False),
            line("inconclusive", kind="tail", limit=0.1, prompts_needed=200, n=64, reason="Too few prompts."),
            line("fail", kind="break", name="json", value=0.25, limit=0.05, lower=0.1644, upper=0.35, n=64),
            failed,
            reason="rougeL and json are beyond their limits.",
        ),
    }
