"""Where a store can be: a folder of this machine, or any place that fsspec reaches, such as S3.

A store is `KIND/NAME/FILE` throughout. What is remote is copied whole folders at a time: files of a store are locked,
appended to and mapped, which object storage can't do.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fidelity.errors import FidelityError, MissingPackageError, StoreError
from fidelity.files import copy_files, locked, whole_file
from fidelity.outside.paths import inside, leaves
from fidelity.outside.secrets import masked
from fidelity.outside.strings import one_line
from fidelity.store.record_files import MANIFEST
from fidelity.store.reviews import FOLDER
from fidelity.store.studies import STATE

KINDS = ("runs", "heads", "scores", "measurements", "comparisons", FOLDER, "studies")
"""The folders of a store that are copied, each after those that it refers to. Caches are made again where needed."""
LOCAL = "file://"
S3 = ("s3", "s3a")
"""The protocols for which there is an extra."""
Sizes = dict[str, int]
"""Bytes of a folder's files, by name."""
FileState = tuple[int, int]
"""A file's size in bytes and its time of change in ns."""


def is_url(location: str) -> bool:
    """Whether a store's location is a URL of another place than this machine's folders."""
    return "://" in location and not location.startswith(LOCAL)


@dataclass(frozen=True)
class FolderPlace:
    """A store in a folder of this machine, which includes NFS."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    def folders(self, kind: str) -> dict[str, Sizes]:
        """The files of each folder of a kind, without symbolic links that lead out of the store."""
        return {
            folder: {file: size for file, (size, _) in files.items()} for folder, files in self.states(kind).items()
        }

    def states(self, kind: str) -> dict[str, dict[str, FileState]]:
        """The same with their times of change."""
        try:
            folders = sorted(path for path in (self.root / kind).iterdir() if path.is_dir())
        except FileNotFoundError:
            return {}
        return {path.name: self._states(path) for path in folders if not leaves(self.root, path)}

    def read(self, kind: str, folder: str, files: Iterable[str]) -> dict[str, bytes]:
        """The contents of small files."""
        return {file: inside(self.root, kind, folder, file).read_bytes() for file in files}

    def remove(self, kind: str, folder: str, files: Iterable[str]) -> None:
        """Remove files that are there."""
        for file in files:
            inside(self.root, kind, folder, file).unlink(missing_ok=True)

    def _states(self, path: Path) -> dict[str, FileState]:
        states = {}
        for file in sorted(path.iterdir()):
            with suppress(FileNotFoundError):  # another command has just finished this run
                if is_copied(file.name) and file.is_file() and not leaves(self.root, file):
                    status = file.stat()
                    states[file.name] = (status.st_size, status.st_mtime_ns)
        return states


class UrlPlace:
    """A store at a URL. Credentials and endpoints are those of fsspec's packages (`AWS_ENDPOINT_URL`, for example)."""

    def __init__(self, url: str) -> None:
        """Connect to it; it need not exist yet.

        Raises:
            MissingPackageError: The package for this kind of URL is not installed.
            StoreError: fsspec knows no such URL, or can't connect.
        """
        self._shown = masked(url)
        try:
            import fsspec
        except ImportError as error:
            raise MissingPackageError("fsspec", extra="s3", needed_by=self._shown) from error
        try:
            with self.explained():
                self.fs, root = fsspec.url_to_fs(url, use_listings_cache=False)
        except ImportError as error:
            if url.partition("://")[0] in S3:
                raise MissingPackageError("s3fs", extra="s3", needed_by=self._shown) from error
            raise StoreError(f"{self}: {one_line(str(error))}") from error  # it names the package
        self.root = root.rstrip("/")

    def __str__(self) -> str:
        return str(self._shown)

    def folders(self, kind: str) -> dict[str, Sizes]:
        """The files of each folder of a kind."""
        with self.explained():
            try:
                files = self.fs.find(f"{self.root}/{kind}", detail=True)
            except FileNotFoundError:
                return {}
        folders: dict[str, Sizes] = {}
        for path, info in sorted(files.items()):
            _, folder, file = path.rsplit("/", 2)
            if path == self.path(kind, folder, file) and is_copied(file):
                folders.setdefault(folder, {})[file] = int(info["size"])
        return folders

    def read(self, kind: str, folder: str, files: Iterable[str]) -> dict[str, bytes]:
        """The contents of small files."""
        with self.explained():
            return {file: self.fs.cat_file(self.path(kind, folder, file)) for file in files}

    def path(self, *names: str) -> str:
        """What fsspec calls a file of the store."""
        return "/".join((self.root, *names))

    def upload(self, source: Path, kind: str, folder: str, files: Sequence[str]) -> None:
        """Write files of a local folder, the manifest after all others.

        Raises:
            FileNotFoundError: One has vanished, since its run was finished meanwhile.
        """
        for some in _manifest_last(files):
            local = [str(inside(source, kind, folder, file)) for file in some]
            if vanished := [path for path in local if not Path(path).is_file()]:
                raise FileNotFoundError(vanished[0])
            with self.explained():
                self.fs.put(local, [self.path(kind, folder, file) for file in some])

    def download(self, target: Path, kind: str, folder: str, files: Sequence[str]) -> None:
        """Read files into a local folder, each whole or not at all, the manifest after all others."""
        with locked(inside(target, kind, folder)):
            for some in _manifest_last(files):
                with ExitStack() as stack:
                    drafts = [stack.enter_context(whole_file(inside(target, kind, folder, file))) for file in some]
                    with self.explained():
                        self.fs.get([self.path(kind, folder, file) for file in some], [str(draft) for draft in drafts])

    def remove(self, kind: str, folder: str, files: Iterable[str]) -> None:
        """Remove files that are there."""
        with self.explained():
            if paths := [self.path(kind, folder, file) for file in files]:
                self.fs.rm(paths)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what fsspec's packages raise into a StoreError. They have no common class: it can be anything."""
        try:
            yield
        except (FidelityError, FileExistsError, ImportError):
            raise
        except Exception as error:
            reason = one_line(str(masked(str(error) or type(error).__name__)))
            raise StoreError(f"{self}: can't be reached or used ({reason})") from error


Place = FolderPlace | UrlPlace


def place_of(location: str) -> Place:
    """The place that a user names: a folder, or a URL.

    Raises:
        FidelityError: The URL is of an unknown kind, or its package is not installed.
    """
    return UrlPlace(location) if is_url(location) else FolderPlace(Path(location.removeprefix(LOCAL)))


def is_copied(file: str) -> bool:
    """Whether a file is part of what is copied: no lock, no draft, no progress of a command."""
    return not file.startswith(".") and file != STATE


def transfer(source: Place, target: Place, kind: str, folder: str, files: Sequence[str]) -> None:
    """Copy files of one folder, the manifest after all others.

    Raises:
        FileNotFoundError: One has vanished meanwhile.
        StoreError: A place can't be read or written, or both are URLs.
    """
    if isinstance(target, UrlPlace):
        if isinstance(source, UrlPlace):
            raise StoreError(f"{source} and {target}: one of the two must be a folder of this machine")
        target.upload(source.root, kind, folder, files)
    elif isinstance(source, UrlPlace):
        source.download(target.root, kind, folder, files)
    else:
        with locked(inside(target.root, kind, folder)):
            for some in _manifest_last(files):
                copy_files(inside(source.root, kind, folder), inside(target.root, kind, folder), some)


def _manifest_last(files: Sequence[str]) -> Iterator[list[str]]:
    if data := [file for file in files if file != MANIFEST]:
        yield data
    if MANIFEST in files:
        yield [MANIFEST]
