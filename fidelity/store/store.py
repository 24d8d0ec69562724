"""The store: runs and comparisons as directories of Parquet files.

The manifest of each is written last, by rename. A directory without a manifest is unfinished.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fidelity.files import copy_files, full_disk_explained, locked, sweep
from fidelity.outside.paths import inside, leaves
from fidelity.store.comparisons import Comparison
from fidelity.store.manifests import ComparisonManifest
from fidelity.store.measurements import UNMEASURED, Measurement
from fidelity.store.record_files import MANIFEST, damage_of, write_record
from fidelity.store.runs import EXPECTED_ANSWERS, GENERATIONS, LOG, Run, RunWriter
from fidelity.store.studies import StudyManifest
from fidelity.store.token_scores import ScoresManifest

OF_THE_PAIRING = (
    "reasoning",
    "prompt_ids",
    "failures",
    "failed_prompts",
    "same",
    "spelling_only",
    "prompt_tokens",
    "extra_prompts",
    "one_sided_thinking",
    "contradictions",
    "compares",
    "reasoning_formats",
    "answers",
)
"""The fields of a comparison's manifest that are known before scoring."""


class Store:
    """A directory with `runs/` and `comparisons/`. Several commands can use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def remembered_hashes(self) -> Path:
        """The file that caches hashes of model files."""
        return self.root / "hashes.json"

    def runs(self) -> list[Run]:
        """The finished runs, by name, without damaged ones."""
        return [run for path in self._complete("runs") if not (run := Run(path)).damage]

    def comparisons(self) -> list[Comparison]:
        """The comparisons, by name, without damaged ones."""
        return [one for path in self._complete("comparisons") if not (one := Comparison(path)).damage]

    def damaged(self) -> dict[str, str]:
        """The reason why a finished directory can't be read, by its path in the store (`runs/NAME`)."""
        damages: dict[str, Callable[[Path], str]] = {
            "runs": lambda path: Run(path).damage,
            "comparisons": lambda path: Comparison(path).damage,
            "measurements": lambda path: damage_of(path, Measurement),
            "scores": lambda path: damage_of(path, ScoresManifest),
            "studies": lambda path: damage_of(path, StudyManifest),
        }
        reasons = {folder: _why_unreadable(self.root / folder) for folder in damages}
        for folder, damage in damages.items():
            reasons |= {f"{folder}/{path.name}": damage(path) for path in self._complete(folder)}
            reasons |= {
                f"{folder}/{path.name}": f"{path}: a symbolic link that leads out of the store"
                for path in _entries(self.root / folder)
                if leaves(self.root, path)
            }
        return {place: reason for place, reason in reasons.items() if reason}

    def _complete(self, folder: str) -> list[Path]:
        """The finished directories in a folder, without symbolic links that lead out of the store."""
        finished = [path for path in _entries(self.root / folder) if os.path.lexists(path / MANIFEST)]
        return [path for path in finished if not leaves(self.root, path)]

    def run(self, name: str, digest: str) -> Run | None:
        """The finished run with this digest, or None."""
        path = self.run_path(name, digest)
        return Run(path) if (path / MANIFEST).is_file() else None

    @contextmanager
    def writing(
        self, name: str, digest: str, *, on_wait: Callable[[], None] = lambda: None
    ) -> Iterator[RunWriter | Run]:
        """Lock a run for writing. Yields the finished run if another command has written it in the meantime.

        `on_wait` is called if another command holds the lock. It is a lock of the operating system, which releases it
        when its process ends.
        """
        path = self.run_path(name, digest)
        with locked(path, on_wait=on_wait):
            yield self.run(name, digest) or RunWriter(path)

    def sweep(self) -> None:
        """Remove the drafts that killed commands left anywhere in the store."""
        for folder in (self.root, *self.root.glob("*/*/")):
            sweep(folder)

    def add_measurement(self, run: Run, measurement: Measurement) -> None:
        """Keep what was measured of a run, apart from its outputs; fields that aren't given stay as they were."""
        folder = self.measurements_of(run)
        with locked(folder):
            known = self.measurement(run) or UNMEASURED
            write_record(folder / MANIFEST, known.updated(measurement))

    def measurements_of(self, run: Run) -> Path:
        """Create and return the directory for a run's measurements."""
        folder = inside(self.root, "measurements", run.id)
        with full_disk_explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def measurement(self, run: Run) -> Measurement | None:
        """A run's measurements; None if there are none."""
        return Run(inside(self.root, "runs", run.id)).measurement

    def adopt(self, run: Run) -> Run:
        """Copy a run of another store into this one, unless it has the run."""
        run.manifest, run.rows  # noqa: B018 - damaged ones are refused before anything is copied
        path = inside(self.root, "runs", run.id)
        if not (path / MANIFEST).is_file():
            copy_files(run.path, path, [GENERATIONS, LOG, EXPECTED_ANSWERS])
            write_record(path / MANIFEST, run.manifest)
            if measured := run.measurement:
                self.add_measurement(Run(path), measured)
        return Run(path)

    def comparison(self, baseline: Run, candidate: Run, manifest: ComparisonManifest, digest: str) -> Comparison:
        """Create the comparison of two runs, again if a run's answers have changed, or update how the runs pair."""
        path = inside(self.root, "comparisons", f"{baseline.name}--{candidate.name}-{digest[:8]}")
        return Comparison(path).begun(manifest, paired={key: getattr(manifest, key) for key in OF_THE_PAIRING})

    def run_path(self, name: str, digest: str) -> Path:
        """The directory of a run, finished or not."""
        return inside(self.root, "runs", f"{name}-{digest[:8]}")


def _entries(folder: Path) -> list[Path]:
    """The entries of a folder, by name; empty if it can't be listed."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _why_unreadable(folder: Path) -> str:
    """Why a folder can't be listed; empty if it can, or if it doesn't exist yet."""
    try:
        next(folder.iterdir(), None)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{folder}: can't be listed ({error.strerror})"
    return ""
