"""The store: runs and comparisons as directories of Parquet.

The manifest of each is written last, by rename: with it the directory is complete, without it absent.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fidelity.files import copy_files, full_disk_explained
from fidelity.outside.paths import inside, leaves
from fidelity.store.comparisons import Comparison
from fidelity.store.manifests import MANIFEST, ComparisonManifest, Manifest, damage_of, write_record
from fidelity.store.measurements import UNMEASURED, Measurement
from fidelity.store.runs import GENERATIONS, LOG, Run, RunWriter
from fidelity.store.studies import StudyManifest

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
"""What a comparison's manifest says before anything is scored."""


class Store:
    """A directory with `runs/` and `comparisons/`; several commands may use it at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def remembered_hashes(self) -> Path:
        """Where hashes of model files are kept."""
        return self.root / "hashes.json"

    def runs(self) -> list[Run]:
        """The finished runs, by name; without those that are damaged."""
        return [run for path in self._complete("runs") if not (run := Run(path)).damage]

    def comparisons(self) -> list[Comparison]:
        """The comparisons, by name; without those that are damaged."""
        return [one for path in self._complete("comparisons") if not (one := Comparison(path)).damage]

    def damaged(self) -> dict[str, str]:
        """What is finished and can't be read, by its place in the store (`runs/NAME`), with the reason."""
        reasons = {f"runs/{path.name}": Run(path).damage for path in self._complete("runs")}
        reasons |= {f"comparisons/{path.name}": Comparison(path).damage for path in self._complete("comparisons")}
        others: dict[str, type[Manifest]] = {"measurements": Measurement, "studies": StudyManifest}
        for folder, kind in others.items():
            reasons |= {f"{folder}/{path.name}": damage_of(path, kind) for path in self._complete(folder)}
        for place in ("runs", "comparisons", *others):
            links = [path for path in (self.root / place).glob("*") if leaves(self.root, path)]
            reasons |= {
                f"{place}/{path.name}": f"{path}: a symbolic link that leads out of the store" for path in links
            }
        return {place: reason for place, reason in reasons.items() if reason}

    def _complete(self, folder: str) -> list[Path]:
        """What is finished there, apart from symbolic links that lead out of the store."""
        finished = sorted(manifest.parent for manifest in (self.root / folder).glob(f"*/{MANIFEST}"))
        return [path for path in finished if not leaves(self.root, path)]

    def run(self, name: str, digest: str) -> Run | None:
        """The finished run with this digest, if it is there."""
        path = self.run_path(name, digest)
        return Run(path) if (path / MANIFEST).is_file() else None

    @contextmanager
    def writing(
        self, name: str, digest: str, *, on_wait: Callable[[], None] = lambda: None
    ) -> Iterator[RunWriter | Run]:
        """A run to write, or the finished run if another command has written it in the meantime.

        `on_wait` is called if another command is at it. The lock is the operating system's, so that it is gone with its
        process, however that ends.
        """
        path = self.run_path(name, digest)
        with full_disk_explained(path):
            path.mkdir(parents=True, exist_ok=True)
            lock = (path / ".lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.run(name, digest) or RunWriter(path)

    def add_measurement(self, run: Run, measurement: Measurement) -> None:
        """Keep what was measured of a run, apart from its outputs; fields that aren't given stay as they were."""
        known = self.measurement(run) or UNMEASURED
        write_record(self.measurements_of(run) / MANIFEST, known.updated(measurement))

    def measurements_of(self, run: Run) -> Path:
        """The directory for what is measured of a run; it is made."""
        folder = inside(self.root, "measurements", run.id)
        with full_disk_explained(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def measurement(self, run: Run) -> Measurement | None:
        """What was measured of a run; None if nothing was."""
        return Run(inside(self.root, "runs", run.id)).measurement

    def adopt(self, run: Run) -> Run:
        """A run of another store, copied into this one if it isn't there yet."""
        run.manifest, run.rows  # noqa: B018 - damaged ones are refused before anything is copied
        path = inside(self.root, "runs", run.id)
        if not (path / MANIFEST).is_file():
            copy_files(run.path, path, [GENERATIONS, LOG, MANIFEST])
            if measured := run.measurement:
                self.add_measurement(Run(path), measured)
        return Run(path)

    def comparison(self, baseline: Run, candidate: Run, manifest: ComparisonManifest, digest: str) -> Comparison:
        """The comparison of two runs, made if it isn't there; else only how the runs pair is written anew.

        Numbers of answers that a run has no longer, since it was generated again, are removed.
        """
        path = inside(self.root, "comparisons", f"{baseline.name}--{candidate.name}-{digest[:8]}")
        stale = (path / MANIFEST).is_file() and Comparison(path).manifest.answers not in (
            (None, None),
            manifest.answers,
        )
        if stale or not (path / MANIFEST).is_file():
            with full_disk_explained(path):
                path.mkdir(parents=True, exist_ok=True)
            for file in path.glob("*.parquet"):
                file.unlink()
            write_record(path / MANIFEST, manifest)
        return Comparison(path).described(**{key: getattr(manifest, key) for key in OF_THE_PAIRING})

    def run_path(self, name: str, digest: str) -> Path:
        """Where a run lies, finished or not."""
        return inside(self.root, "runs", f"{name}-{digest[:8]}")
