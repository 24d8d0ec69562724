"""Working on a store at a URL: in a temporary folder, whose changes go to the URL while the command works."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from fidelity.errors import FidelityError, StoreError
from fidelity.store.claims import LIFE_SIGN_S, StoreClaim
from fidelity.store.copying import copy_store
from fidelity.store.places import KINDS, FileState, FolderPlace, UrlPlace


@contextmanager
def working_folder(place: UrlPlace, *, on_message: Callable[[str], None]) -> Iterator[Path]:
    """A folder with the content of the store at a URL, which this command alone holds meanwhile.

    Every `LIFE_SIGN_S` and at the end, what has changed is sent: answers of unfinished runs too, so that after the loss
    of the machine another one continues. The folder is removed once everything is there.

    Raises:
        StoreError: The store can't be reached, or not all could be sent, and the folder remains.
    """
    claim = StoreClaim(place)
    claim.take(lambda holder: on_message(f"{place}: {holder} is using it; waiting"))
    folder = Path(mkdtemp(prefix="fidelity-store-"))
    mirror = Mirror(place, folder)
    try:
        with _life_signs(claim, mirror, on_message):
            mirror.receive(on_message)
            yield folder
    finally:
        try:
            claim.show_life()  # else another command has taken it over
            mirror.send()
            claim.release()
            shutil.rmtree(folder)
        except FidelityError as error:
            raise StoreError(
                f"{error}; what isn't there is in {folder}: fidelity store copy {folder} {place} --replace"
            ) from error


@contextmanager
def _life_signs(claim: StoreClaim, mirror: "Mirror", on_message: Callable[[str], None]) -> Iterator[None]:
    """Show life and send changes in a thread."""
    ended = threading.Event()

    def show() -> None:
        while not ended.wait(LIFE_SIGN_S):
            try:
                claim.show_life()
                mirror.send()
            except FidelityError as error:
                on_message(f"{error}; it is tried again")

    thread = threading.Thread(target=show, name="mirror", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Mirror:
    """What a URL has of a folder's files. The URL is not listed again, since nobody else writes there."""

    def __init__(self, place: UrlPlace, folder: Path) -> None:
        self._place, self._local = place, FolderPlace(folder)
        self._sent: dict[str, dict[str, dict[str, FileState]]] | None = None

    def receive(self, on_message: Callable[[str], None]) -> None:
        """Fill the folder. What is damaged is reported, and treated as in any store.

        Raises:
            StoreError: The URL can't be reached.
        """
        for damage in copy_store(self._place, self._local).damages:
            on_message(damage.reason)
        self._sent = {kind: self._local.states(kind) for kind in KINDS}

    def send(self) -> None:
        """Send what has changed since, each folder's manifest last. Nothing before all was received.

        Raises:
            StoreError: The URL can't be reached.
        """
        for kind, sent in (self._sent or {}).items():
            for folder, states in self._local.states(kind).items():
                before = sent.get(folder, {})
                if changed := [file for file in states if states[file] != before.get(file)]:
                    try:
                        self._place.upload(self._local.root, kind, folder, changed)
                    except FileNotFoundError:  # the run has just been finished: next time
                        continue
                self._place.remove(kind, folder, before.keys() - states.keys())
                sent[folder] = states
