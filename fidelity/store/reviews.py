"""Reviewers' votes on pairs: a sealed file for each vote, which is never rewritten.

Two reviewers at once can't lose each other's votes, and a reviewer who votes again leaves the earlier vote on disk.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from fidelity.errors import StoreError
from fidelity.files import locked, whole_file
from fidelity.outside.paths import inside, open_regular
from fidelity.store.record_files import FileName, Manifest, Record, read_record, write_record

FOLDER = "reviews"
ORDER_KEY, KEY_BYTES = "order.key", 32
Vote = Literal["baseline better", "same", "candidate better", "both bad"]
LONGEST_NOTE, LONGEST_NAME, MOST_TAGS = 4_000, 100, 20
Tag = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]


Preference = Literal["first", "second", "tie", "unreadable"]
"""What a judge prefers when it has read two answers in this order."""


class JudgeAnswer(Record):
    """How a judge, which is a language model, came to its vote."""

    model: str = Field(max_length=1_000)
    """The model's name on the server."""
    instructions: str
    """`Instructions.digest` of what it was asked."""
    choices: tuple[Preference, Preference] | None
    """With the baseline's answer first, and with the other one first; None for equal answers, which it isn't asked."""


class Review(Manifest):
    """What one reviewer says about one pair."""

    what = "a review"

    comparison: FileName
    """The directory in `comparisons/`."""
    prompt_id: str
    repeat: int = Field(default=0, ge=0)
    reviewer: str = Field(min_length=1, max_length=LONGEST_NAME)
    vote: Vote | None
    """None withdraws the reviewer's earlier vote; of a judge, its answers can't be read."""
    note: str = Field(default="", max_length=LONGEST_NOTE)
    tags: tuple[Tag, ...] = Field(default=(), max_length=MOST_TAGS)
    blind: bool
    """Whether the reviewer didn't see which answer is the candidate's."""
    answers: str
    """`answers_digest` of the texts that were reviewed."""
    created: str
    """UTC, to the microsecond."""
    judge: JudgeAnswer | None = None
    """None for a person's vote."""

    @classmethod
    def remedy(cls, file: Path) -> str:
        """The repair for a damaged vote."""
        return "move the file away, as fidelity store check --repair does, and vote again"

    @property
    def pair(self) -> tuple[str, int]:
        return self.prompt_id, self.repeat


def now() -> str:
    """The time for `Review.created`."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def answers_digest(baseline: str, candidate: str) -> str:
    """SHA-256 of both texts, so a vote doesn't count for other answers than those that were read."""
    digest = hashlib.sha256()
    for text in (baseline, candidate):
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8) + encoded)
    return digest.hexdigest()


def add_review(root: Path, review: Review) -> Path:
    """Write a vote to the store in `root`, and return its file.

    Raises:
        StoreError: The store can't be written.
    """
    moment = "".join(character for character in review.created if character.isdigit())[:20]
    file = inside(root, FOLDER, review.comparison, f"{moment}-{secrets.token_hex(6)}.json")
    write_record(file, review)
    return file


def read_review(file: Path) -> Review:
    """Read a vote.

    Raises:
        StoreError: It is damaged, or in the folder of another comparison.
    """
    review = read_record(file, Review)
    if review.comparison != file.parent.name:
        raise StoreError(f"{file}: belongs to {review.comparison}; move the file to that folder")
    return review


def read_reviews(root: Path, comparison: str) -> tuple[list[Review], int]:
    """All votes on a comparison, oldest first, and the number of files that can't be read."""
    reviews, unreadable = [], 0
    for file in review_files(inside(root, FOLDER, comparison)):
        try:
            reviews.append(read_review(file))
        except StoreError:
            unreadable += 1
    return sorted(reviews, key=lambda review: review.created), unreadable


def review_files(folder: Path) -> Sequence[Path]:
    """The files of a comparison's votes, without drafts."""
    return sorted(file for file in folder.glob("*.json") if not file.name.startswith("."))


def newest(reviews: Iterable[Review]) -> list[Review]:
    """The newest review of each reviewer on each pair, in the order of the first ones."""
    by_pair = {(one.pair, one.reviewer, one.judge is None): one for one in sorted(reviews, key=lambda one: one.created)}
    return list(by_pair.values())


def latest(reviews: Iterable[Review]) -> list[Review]:
    """The newest vote of each reviewer on each pair, without withdrawn ones, in the order of the first votes."""
    return [review for review in newest(reviews) if review.vote is not None]


def place_in_random_order(pair: tuple[str, int]) -> tuple[int, bytes]:
    """The key that sorts pairs into random order: by repeat, then by a hash of the prompt's id.

    The order depends on nothing that was generated, so the first prompts in it are a random sample of all of them, and
    whether votes are on such a sample can be checked later.
    """
    prompt_id, repeat = pair
    return repeat, hashlib.sha256(b"random order/" + prompt_id.encode("utf-8", "surrogatepass")).digest()


def order_key(root: Path) -> bytes:
    """The secret that decides which answer blind reviewers see first; written when it is first needed.

    Raises:
        StoreError: It can't be read or written.
    """
    file = inside(root, FOLDER, ORDER_KEY)
    with locked(file.parent):
        if not file.is_file():
            with whole_file(file) as draft:
                draft.chmod(0o600)
                draft.write_bytes(secrets.token_bytes(KEY_BYTES))
        with open_regular(file) as stream:
            return stream.read(KEY_BYTES)


def is_swapped(key: bytes, comparison: str, pair: tuple[str, int]) -> bool:
    """Whether blind reviewers see the candidate's answer first: for half of the pairs, always the same ones.

    Without the key nobody can compute it from what a page or its address shows.
    """
    message = "\0".join((comparison, pair[0], str(pair[1]))).encode("utf-8", "surrogatepass")
    return bool(hmac.digest(key, message, "sha256")[0] & 1)
