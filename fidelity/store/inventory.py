"""Checking a store file by file: what is damaged, what was lost with it, and moving it out of the way."""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fidelity.checkpoints.remembered import damage_of_remembered
from fidelity.encoders.cache import damage_of_cache
from fidelity.errors import StoreError
from fidelity.files import full_disk_explained, locked
from fidelity.outside.paths import leaves, open_regular, read_regular
from fidelity.store.comparisons import Comparison
from fidelity.store.heads import damage_of_head
from fidelity.store.journal import broken_lines, drop_broken_lines
from fidelity.store.measurements import Measurement
from fidelity.store.record_files import MANIFEST, damage_of
from fidelity.store.reviews import FOLDER, read_review, review_files
from fidelity.store.run_chunks import responses_in
from fidelity.store.runs import DRAFT, EXPECTED_ANSWERS, GENERATIONS, Run, RunWriter
from fidelity.store.store import Store
from fidelity.store.studies import StudyManifest, read_study
from fidelity.store.token_scores import StoredScores, check_chunk

QUARANTINE = "quarantine"
MOST_ROUNDS = 5
"""Without what was moved away others can lack what they refer to, and are moved in the next round."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A file or folder of a store that can't be used."""

    path: Path
    reason: str
    lost: str
    """What it held, and what brings it back."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The result of a check."""

    checked: Mapping[str, int]
    """The number of folders that were read, by kind."""
    damages: tuple[Damage, ...]
    leftovers: tuple[Path, ...]
    """Files that killed commands left, and that nothing needs."""
    in_use: tuple[Path, ...]
    """Folders that another command is writing now. They were not read."""


def check(store: Store) -> Inventory:
    """Read every file of a store and compare it with its checksums. Nothing is changed."""
    checked, leftovers, in_use = dict.fromkeys(_CHECKS, 0), [*_drafts(store.root)], []
    damages = list(_of_caches(store.root))
    for kind, damages_of in _CHECKS.items():
        for path in _folders(store.root / kind):
            if leaves(store.root, path):
                damages.append(Damage(path, "a symbolic link that leads out of the store", "nothing of the store"))
            elif _is_locked(path):
                in_use.append(path)
            else:
                checked[kind] += 1
                own = list(damages_of(path))
                leftovers += [*_drafts(path), *(_unneeded(path) if kind == "runs" and not own else ())]
                damages += own
    return Inventory(checked, tuple(damages), tuple(leftovers), tuple(in_use))


def repair(store: Store) -> tuple[Path, Inventory]:
    """Move what is damaged to a new folder in `quarantine/`, and remove leftovers.

    Returns the folder, which exists if anything was moved, and another check. No answer is deleted, and folders that
    another command is writing are left alone.

    Raises:
        StoreError: The store can't be written.
    """
    quarantine = store.root / QUARANTINE / datetime.now(UTC).strftime("%Y%m%dT%H%M%S-%f")
    for _ in range(MOST_ROUNDS):
        result = check(store)
        if not result.damages and not result.leftovers:
            break
        for leftover in result.leftovers:
            with full_disk_explained(leftover):
                leftover.unlink(missing_ok=True)
        for damage in result.damages:
            _move_away(damage.path, store.root, quarantine)
    return quarantine, check(store)


def _move_away(path: Path, root: Path, quarantine: Path) -> None:
    """Move one file or folder. A journal is copied, and continues with its whole lines; a lost file is forgotten."""
    place = path.relative_to(root)
    folder = root.joinpath(*place.parts[:2])
    with full_disk_explained(path), _held(folder):
        if os.path.lexists(path):
            target = quarantine / place
            while os.path.lexists(target):  # what was moved out of a folder before the folder itself
                target = target.with_name(f"{target.name}~")
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".jsonl":
                target.write_bytes(read_regular(path))
                drop_broken_lines(path)
            else:
                path.rename(target)
    if place.parts[0] == "comparisons" and len(place.parts) > 2 and (folder / MANIFEST).is_file():
        Comparison(folder).forget_missing()


def _held(folder: Path) -> AbstractContextManager[None]:
    return locked(folder) if folder.is_dir() and not folder.is_symlink() else nullcontext()


def _of_run(path: Path) -> Iterator[Damage]:
    lost = f"the answers of {path.name}, which are generated again at the next run"
    run = Run(path)
    if (path / MANIFEST).is_file():
        try:
            if run.damage:
                raise StoreError(run.damage)
            run.check_place()
            if lost_answers := run.damage_of_expected:
                yield Damage(path / EXPECTED_ANSWERS, lost_answers, "expected answers, which the next run writes again")
                return
            counts, outcomes = run.manifest.counts, run.outcomes()
            if (len(run.prompts()), len(outcomes)) != (counts.prompts, counts.generations + counts.failures):
                raise StoreError(f"{path / GENERATIONS}: has other answers than its manifest counts")
        except StoreError as error:
            yield Damage(path, str(error), lost)
        return
    chunks, journals = sorted(path.glob("chunk-*.parquet")), sorted(path.glob("answers-*.jsonl"))
    if (path / GENERATIONS).exists() and not chunks and not journals:
        yield Damage(path, f"{path / MANIFEST}: is missing", lost)
    for chunk in chunks:
        yield from _unreadable(chunk, responses_in, "its answers, which are asked again at the next run")
    for journal in journals:
        if lines := broken_lines(journal):
            reason = f"{journal}: {len(lines)} of its lines are truncated or changed, the first is line {lines[0]}"
            yield Damage(journal, reason, f"{len(lines)} answers at most, which are asked again at the next run")
    if (path / DRAFT).is_file() and RunWriter(path).draft is None:
        yield Damage(path / DRAFT, f"{path / DRAFT}: damaged", "the run's plan, which is made again at the next run")


def _of_comparison(path: Path) -> Iterator[Damage]:
    comparison, again = Comparison(path), "fidelity compare scores them again"
    if not (path / MANIFEST).exists():
        if any(path.glob("*.parquet")):
            yield Damage(path, f"{path / MANIFEST}: is missing", f"its scores; {again}")
        return
    for file, reason in comparison.damages.items():
        whole = file.name == MANIFEST
        yield Damage(
            path if whole else file, reason, f"{'its' if whole else file.name.partition('-')[0]} scores; {again}"
        )
    if comparison.damage:
        return
    manifest, root = comparison.manifest, path.parent.parent
    others = [*(manifest.controls or ()), *manifest.own_controls, *manifest.references, *manifest.between_controls]
    needed = [
        *(root / "runs" / run for run in (manifest.baseline, manifest.candidate)),
        *(path.parent / o for o in others),
    ]
    for other in needed:
        if not (other / MANIFEST).is_file():
            yield Damage(path, f"{path}: refers to {other.relative_to(root)}, which is missing", f"its scores; {again}")
            return


def _of_scores(path: Path) -> Iterator[Damage]:
    again = "token scores, which are computed again at the next run"
    if not (path / MANIFEST).exists():
        for chunk in sorted(path.glob("chunk-*.parquet")):
            yield from _unreadable(chunk, check_chunk, again)
        return
    try:
        scores = StoredScores(path)
        for key in scores.keys:
            scores.get(*key, hidden=True)
        _ = scores.texts
    except StoreError as error:
        yield Damage(path, str(error), again)


def _of_head(path: Path) -> Iterator[Damage]:
    if os.path.lexists(path / MANIFEST) and (reason := damage_of_head(path)):
        yield Damage(path, reason, "a model's head, and with it the exact distributions; delete their scores as well")


def _of_measurement(path: Path) -> Iterator[Damage]:
    if os.path.lexists(path / MANIFEST) and (reason := damage_of(path, Measurement)):
        yield Damage(path, reason, "sizes, memory, speed and prices; delete the run as well to measure them again")


def _of_study(path: Path) -> Iterator[Damage]:
    again = "the list of its comparisons; fidelity study writes it again"
    if not os.path.lexists(path / MANIFEST):
        return
    if reason := damage_of(path, StudyManifest):
        yield Damage(path, reason, again)
        return
    for cell in read_study(path).cells:
        if cell.comparison and not (path.parent.parent / "comparisons" / cell.comparison / MANIFEST).is_file():
            reason = f"{path}: refers to comparisons/{cell.comparison}, which is missing"
            yield Damage(path, reason, again)
            return


def _of_reviews(path: Path) -> Iterator[Damage]:
    for file in review_files(path):
        yield from _unreadable(file, read_review, "a reviewer's vote with its note; vote again")


def _of_caches(root: Path) -> Iterator[Damage]:
    for file in (root / "hashes.json", root / "servers.json"):
        if reason := damage_of_remembered(file):
            yield Damage(file, reason, "what is computed or asked again when it is needed")
    for file in sorted((root / "embeddings").glob("*.sqlite")):
        if reason := damage_of_cache(file):
            yield Damage(file, reason, "embeddings, which are computed again when they are needed")


_CHECKS: dict[str, Callable[[Path], Iterator[Damage]]] = {
    "runs": _of_run,
    "comparisons": _of_comparison,
    "heads": _of_head,
    "scores": _of_scores,
    "measurements": _of_measurement,
    "studies": _of_study,
    FOLDER: _of_reviews,
}


def _unreadable(file: Path, read: Callable[[Path], object], lost: str) -> Iterator[Damage]:
    try:
        read(file)
    except StoreError as error:
        yield Damage(file, str(error), lost)


def _unneeded(path: Path) -> list[Path]:
    """What a command that was killed after it had finished a run left next to its answers."""
    if not (path / MANIFEST).is_file():
        return []
    return [*path.glob("chunk-*.parquet"), *path.glob("answers-*.jsonl"), *path.glob(DRAFT)]


def _folders(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if path.is_symlink() or path.is_dir())
    return []


def _drafts(folder: Path) -> Iterator[Path]:
    """Files that a killed command was writing; a draft is locked as long as its command lives."""
    for draft in sorted(folder.glob(".*.draft")):
        with suppress(OSError), open_regular(draft) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield draft


def _is_locked(folder: Path) -> bool:
    try:
        with open_regular(folder / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
