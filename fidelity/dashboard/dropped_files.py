"""Comparing two files that were dropped on the page: no YAML, no model, and nothing of them is run or trusted.

The files are scored by the command line in a process of its own, with limits on size, time and memory.
"""

import json
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import streamlit as st

from fidelity.dashboard import navigation
from fidelity.dashboard.cache import shelf, store_root
from fidelity.dashboard.widgets import note
from fidelity.outside.strings import one_line
from fidelity.runs.sources import run_name

MOST_MEGABYTES = 100
"""Of one file."""
LONGEST = 300
"""The time limit in seconds."""
MOST_MEMORY = 16 * 2**30
"""The address space of the scoring process, in bytes."""
METRICS = ("identical", "rouge", "edit", "length", "conflicts", "breaks")
"""What needs no model."""
KINDS = ("jsonl", "json", "csv", "parquet")


@dataclass(frozen=True, slots=True)
class DroppedFile:
    """A file as the browser sent it."""

    name: str
    content: bytes

    @property
    def run_name(self) -> str:
        """A name for its run, whatever the file is called: no separators, no leading dots."""
        return run_name(PurePosixPath(self.name.replace("\\", "/")).stem)

    @property
    def kind(self) -> str:
        """Its extension, which is one of KINDS; JSONL if it is none of them."""
        kind = self.name.rpartition(".")[2].lower()
        return kind if kind in KINDS else "jsonl"


def draw() -> None:
    """Draw the places for the files, and open the comparison when it is scored."""
    st.markdown(
        "One row per answer, with `id` and `text` (and `prompt`, `category`), as JSONL, JSON, CSV or Parquet. Both "
        "files answer the same prompts. Answers of the unquantized model from another run as a control show how much "
        "it varies by itself."
    )
    columns = st.columns(3)
    titles = ("Baseline (unquantized)", "Candidate (quantized)", "Control (optional)")
    uploads = [
        place.file_uploader(title, type=list(KINDS), max_upload_size=MOST_MEGABYTES, key=f"drop-{number}")
        for number, (place, title) in enumerate(zip(columns, titles, strict=True))
    ]
    baseline, candidate, control = (DroppedFile(one.name, one.getvalue()) if one else None for one in uploads)
    ready = baseline is not None and candidate is not None
    if st.button("Compare", type="primary", disabled=not ready, key="compare-dropped") and baseline and candidate:
        with st.spinner("Comparing ..."):
            id_, problem = compare_files(store_root(), baseline, candidate, control)
        if problem:
            note(f"The files could not be compared. {problem}")
        else:
            navigation.go("comparison", comparison=id_)


def compare_files(
    root: Path, baseline: DroppedFile, candidate: DroppedFile, control: DroppedFile | None = None
) -> tuple[str, str]:
    """Compare files into the store `root`; the comparison's id, or what prevents it."""
    with TemporaryDirectory(prefix="fidelity-drop-") as temporary:
        folder = Path(temporary)
        files = [_written(folder, role, file) for role, file in _by_role(baseline, candidate, control)]
        report = folder / "report.json"
        options = ["--control", str(files[2])] if control else ["--control", "none"]
        options += [word for metric in METRICS for word in ("--metric", metric)]
        command = [sys.executable, "-P", "-m", "fidelity", "compare", str(files[0]), str(files[1]), "--quiet"]
        command += [*options, "--json", str(report), "--store", str(root)]
        try:
            done = subprocess.run(  # noqa: S603 - a list, no shell
                command, capture_output=True, text=True, timeout=LONGEST, check=False, preexec_fn=_limit_memory
            )
        except subprocess.TimeoutExpired:
            return "", f"It took longer than {LONGEST} seconds; use fidelity compare in a terminal."
        except OSError as error:
            return "", str(error)
        if not report.is_file():
            return "", _reason(done.stderr, folder)
        return _comparison_of(json.loads(report.read_text(encoding="utf-8")), folder)


def _by_role(
    baseline: DroppedFile, candidate: DroppedFile, control: DroppedFile | None
) -> list[tuple[str, DroppedFile]]:
    roles = [("baseline", baseline), ("candidate", candidate)]
    return [*roles, ("control", control)] if control else roles


def _written(folder: Path, role: str, file: DroppedFile) -> Path:
    """Write a file under its run's name, with its role, so that two files of one name are two runs."""
    path = folder / f"{file.run_name[:80]}-{role}.{file.kind}"
    path.write_bytes(file.content)
    return path


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def _reason(written: str, folder: Path) -> str:
    """The command's last words, without the names of temporary folders."""
    lines = [line for line in written.replace(f"{folder}/", "").splitlines() if line.strip()]
    return one_line(lines[-1].removeprefix("fidelity: "), most=600) if lines else "The command ended without a reason."


def _comparison_of(report: dict[str, dict[str, str]], folder: Path) -> tuple[str, str]:
    """The id of the comparison that a report is about, or why there is none."""
    if failed := report["not_compared"]:
        return "", _reason("; ".join(failed.values()), folder)
    one = report["comparisons"][0]["candidate"]["id"]  # type: ignore[index]
    base = report["baseline"]["id"]
    ids = [entry.id for entry in shelf().readable if (entry.baseline_id, entry.candidate_id) == (base, one)]
    return (ids[0], "") if ids else ("", "The comparison is not in the store; reload the page.")
