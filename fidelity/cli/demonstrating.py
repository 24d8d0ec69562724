"""`fidelity demo`: a first answer in seconds, from recordings that come with the package."""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from fidelity.cli.options import OK, Commands, open_store
from fidelity.cli.terminal import open_console

SAMPLE = Path("sample_data", "h100-smollm2-135m", "study.yaml")
METRICS = ("conflicts", "identical", "rouge", "length")


def add_to(commands: Commands) -> None:
    """Add this command to the parser's."""
    demo = commands.add_parser("demo", help="compare recordings of an H100 in seconds: no model, no GPU, no network")
    demo.add_argument(
        "--store", type=Path, metavar="DIR", help="keep runs and scores here (they are deleted if omitted)"
    )
    demo.add_argument("--full", action="store_true", help="print all columns")
    demo.set_defaults(command=_demo)


def _demo(chosen: argparse.Namespace) -> int:
    """Compare and judge the recordings; the exit code is 0 whatever the verdicts are."""
    import fidelity
    from fidelity.cli.progress import ProgressBar
    from fidelity.comparison.evidence import verdicts
    from fidelity.metrics import metric_of_kind
    from fidelity.pipeline import ComparisonRequest, compare
    from fidelity.report import print_comparison
    from fidelity.study.study import load_study

    study = load_study(Path(fidelity.__file__).parent / SAMPLE)
    (family,) = study.families
    with TemporaryDirectory(prefix="fidelity-demo-") as temporary:
        metrics = [metric_of_kind(kind) for kind in METRICS]
        request = ComparisonRequest(baseline=family.baseline, candidates=family.candidates, metrics=metrics)
        result = compare(request, store=open_store(chosen.store or Path(temporary)), listener=ProgressBar(chosen))
        judged = verdicts(result, study.gate) if study.gate else {}
        print_comparison(result, open_console(), judged, full=chosen.full)
    return OK
