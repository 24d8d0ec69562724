"""What a metric is: a frozen set of parameters that turns pairs into columns, and nothing else."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from fidelity import __version__
from fidelity.encoders.base import Encoder
from fidelity.errors import ConfigError, FidelityError, MissingPackageError
from fidelity.records import Column, Generation, Pair, Prompt
from fidelity.schema import Settings

Need = Literal["text", "token_ids", "finish_reason", "encoder", "token_scores", "whole_vocabulary"]
"""`token_scores`: both models' scores of the baseline's tokens; `whole_vocabulary`: of every token there is."""


class Metric(Settings, ABC):
    """A metric's parameters are its fields: they are its YAML, its documentation and its signature."""

    kind: str
    label: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Prefix for the column names (`label.rouge1`), so that a second instance of a kind can stand beside the first."""

    @property
    def needs(self) -> frozenset[Need]:
        """What both runs, or this machine, must have; checked before any model loads. May depend on the parameters."""
        return frozenset({"text"})

    def needs_of(self, column: str) -> frozenset[Need]:
        """What one of its columns needs besides: where a whole run has none of it, only that column is unscored."""
        return frozenset()

    extra: ClassVar[str] = "lexical"
    """The extra that brings `packages`, where they aren't core dependencies."""

    @property
    def reads_token_scores(self) -> bool:
        """Whether it reads `Pair.token_scores` in place of the texts."""
        return bool(self.needs & {"token_scores", "whole_vocabulary"})

    @property
    def cost(self) -> Literal["cheap", "moderate", "encoder"]:
        """Of a pair of 350 words: under a millisecond, some milliseconds, or what the encoder takes for two texts."""
        return "encoder" if "encoder" in self.needs else "cheap"

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions whose version changes the numbers; they enter the signature.

        A `ClassVar` where they depend on no parameter.
        """
        return ()

    @property
    def revision(self) -> int:
        """Counts up when the numbers change that the same parameters give; enters the signature from 2 on."""
        return 1

    def require_packages(self) -> None:
        """See that all of `packages` are installed; nothing is imported.

        Raises:
            MissingPackageError: One is not; the message names the extra that brings it.
        """
        for package in self.packages:
            if _version(package) is None:
                raise MissingPackageError(package, extra=self.extra, needed_by=f"the metric {self.kind!r}")

    @abstractmethod
    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        """One value per pair and column. Pure: no I/O, no state, and any batch split gives the same numbers.

        With no pairs, the columns come back empty, so that their names are known without data.
        """

    def score_texts(self, baseline: Sequence[str], candidate: Sequence[str]) -> dict[str, Column]:
        """The metric alone, on two lists of texts: its columns by name, with a value for each pair of texts.

        The texts at one place of both lists are a pair. A metric that prefers token ids compares the texts
        instead; one with an encoder opens it, and leaves it open.

        Raises:
            ConfigError: The lists have different lengths, or the metric needs more than texts.
            MissingPackageError: A package is missing.
        """
        if len(baseline) != len(candidate):
            raise ConfigError(f"{len(baseline)} texts and {len(candidate)}: each is compared with the one at its place")
        metric: Metric | None = self
        while metric and metric.needs - {"text", "encoder"}:
            metric = metric.fallback()
        if metric is None:
            raise ConfigError(f"the metric {self.kind!r} needs {' and '.join(sorted(self.needs))}, and has only texts")
        metric.require_packages()
        pairs = [
            Pair(Prompt(str(n), ""), Generation(str(n), one), Generation(str(n), other))
            for n, (one, other) in enumerate(zip(baseline, candidate, strict=True))
        ]
        ready = metric.opened()
        return {self.named(column.name): column for column in ready.fit(pairs).score(pairs)}

    def opened(self) -> "Metric":
        """This metric with all that it takes to score."""
        return self

    def fallback(self) -> "Metric | None":
        """The metric to score instead, under its own name, where `needs` can't be met; None where there is none."""
        return None

    def inapplicable(self, pairs: Sequence[Pair]) -> str | None:
        """Why there is nothing in these pairs that this metric is about; None where there is.

        Unlike a need that isn't met it is said only where a gate names a column of it.
        """
        return None

    def fit(self, pairs: Sequence[Pair]) -> "Metric":
        """This metric with what it must measure on the pairs before it scores them; it enters the signature."""
        return self

    def signature(self) -> str:
        """All that it takes to reproduce the numbers: `rouge|tokenizer:unicode|rapidfuzz:3.14.6|v:0.1.0`."""
        fields = {name: getattr(self, name) for name in type(self).model_fields if name not in {"kind", "label"}}
        parts = [self.kind, *(f"{name}:{value}" for name, value in fields.items())]
        parts += [f"rev:{self.revision}"] if self.revision > 1 else []
        parts += [f"{package}:{_version(package) or 'not installed'}" for package in self.packages]
        return "|".join([*parts, f"v:{__version__}"])

    def named(self, column: str) -> str:
        """The column's full name: with the label before it where there is one."""
        return f"{self.label}.{column}" if self.label else column


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class EncoderMetric(Metric):
    """A metric that reads the texts through an encoder. It opens nothing itself: the pipeline binds one to it."""

    extra: ClassVar[str] = "semantic"
    packages: ClassVar[tuple[str, ...]] = ("sentence-transformers",)

    encoder: str
    """A directory (relative to the YAML file) or a Hub id."""

    _bound: Encoder | None = PrivateAttr(default=None)

    @property
    def needs(self) -> frozenset[Need]:
        return frozenset({"text", "encoder"})

    def bind(self, encoder: Encoder) -> Self:
        """A copy of this metric that scores with the encoder."""
        copy = self.model_copy()
        copy._bound = encoder
        return copy

    def opened(self) -> "EncoderMetric":
        """This metric with its encoder, which is opened once."""
        if self._bound is None:
            from fidelity.encoders import locate, open_encoder

            self._bound = open_encoder(locate(self.encoder))
        return self

    def signature(self) -> str:
        name = f"{self._bound.name}@{self._bound.revision}" if self._bound else self.encoder
        return Metric.signature(self).replace(f"encoder:{self.encoder}", f"encoder:{name}", 1)

    @property
    def bound(self) -> Encoder:
        if self._bound is None:
            raise FidelityError(f"the metric {self.kind!r} was asked to score before an encoder was bound to it")
        return self._bound
