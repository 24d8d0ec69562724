"""The base class of metrics: frozen parameters and a pure function from pairs to columns."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr

from fidelity import __version__
from fidelity.encoders.base import Encoder
from fidelity.errors import ConfigError, FidelityError, MissingPackageError
from fidelity.records import Column, Generation, Pair, Prompt
from fidelity.schema import Settings

Need = Literal["text", "token_ids", "finish_reason", "encoder", "token_scores", "whole_vocabulary"]
"""`token_scores`: both models' scores of the baseline's tokens; `whole_vocabulary`: of the whole vocabulary."""


class Metric(Settings, ABC):
    """A metric. Its fields are its parameters: they define its YAML, its documentation and its signature."""

    kind: str
    label: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Prefix for the column names (`label.rouge1`), so a kind can be used twice."""

    @property
    def needs(self) -> frozenset[Need]:
        """What both runs, or this machine, must have. Checked before any model loads. Can depend on the parameters."""
        return frozenset({"text"})

    def needs_of(self, column: str) -> frozenset[Need]:
        """Additional needs of single columns: if a whole run lacks one, only that column is unscored."""
        return frozenset()

    any_length: ClassVar[bool] = False
    """Whether it scores texts of any length, since it only counts or compares their characters."""
    extra: ClassVar[str] = "lexical"
    """The extra with `packages`, if they aren't core dependencies."""

    @property
    def reads_token_scores(self) -> bool:
        """Whether it reads `Pair.token_scores` instead of the texts."""
        return bool(self.needs & {"token_scores", "whole_vocabulary"})

    @property
    def cost(self) -> Literal["cheap", "moderate", "encoder"]:
        """The cost of a pair of 350 words: under a millisecond, several milliseconds, or encoding two texts."""
        return "encoder" if "encoder" in self.needs else "cheap"

    @property
    def packages(self) -> tuple[str, ...]:
        """Distributions that affect the numbers by their version. They enter the signature.

        A `ClassVar` unless they depend on parameters.
        """
        return ()

    @property
    def revision(self) -> int:
        """Increases when the same parameters give other numbers than before; in the signature from 2 on."""
        return 1

    def require_packages(self) -> None:
        """Check that all `packages` are installed, without importing them.

        Raises:
            MissingPackageError: One is missing. The message names its extra.
        """
        for package in self.packages:
            if _version(package) is None:
                raise MissingPackageError(package, extra=self.extra, needed_by=f"the metric {self.kind!r}")

    @abstractmethod
    def score(self, pairs: Sequence[Pair]) -> list[Column]:
        """Return one value per pair and column. Pure: no I/O, no state, and any batch split gives the same numbers.

        Without pairs the columns are empty, so their names are known without data.
        """

    def score_texts(self, baseline: Sequence[str], candidate: Sequence[str]) -> dict[str, Column]:
        """Score two lists of texts: return the columns by name, with a value for each pair of texts.

        Texts at the same index are a pair. A metric of token ids compares the texts instead; a metric with an encoder
        opens it and leaves it open.

        Raises:
            ConfigError: The lists have different lengths, or the metric needs more than texts.
            MissingPackageError: A package is missing.
        """
        if len(baseline) != len(candidate):
            raise ConfigError(f"the lists have {len(baseline)} and {len(candidate)} texts; give both the same length")
        metric: Metric | None = self
        while metric and metric.needs - {"text", "encoder"}:
            metric = metric.fallback()
        if metric is None:
            raise ConfigError(
                f"the metric {self.kind!r} needs {' and '.join(sorted(self.needs))}, which texts alone don't have"
            )
        metric.require_packages()
        pairs = [
            Pair(Prompt(str(n), ""), Generation(str(n), one), Generation(str(n), other))
            for n, (one, other) in enumerate(zip(baseline, candidate, strict=True))
        ]
        ready = metric.opened()
        return {self.named(column.name): column for column in ready.fit(pairs).score(pairs)}

    def opened(self) -> "Metric":
        """This metric, ready to score."""
        return self

    def fallback(self) -> "Metric | None":
        """The metric to use instead, under its own name, if `needs` can't be met, or None."""
        return None

    def inapplicable(self, pairs: Sequence[Pair]) -> str | None:
        """Why this metric doesn't apply to these pairs, or None.

        Unlike an unmet need, it is only reported if a gate names one of its columns.
        """
        return None

    def fit(self, pairs: Iterable[Pair]) -> "Metric":
        """This metric with constants that it measures on the pairs before scoring. They enter the signature."""
        return self

    def signature(self) -> str:
        """Everything needed to reproduce the numbers: `rouge|tokenizer:unicode|rapidfuzz:3.14.6|v:0.1.0`."""
        fields = {name: getattr(self, name) for name in type(self).model_fields if name not in {"kind", "label"}}
        parts = [self.kind, *(f"{name}:{value}" for name, value in fields.items())]
        parts += [f"rev:{self.revision}"] if self.revision > 1 else []
        parts += [f"{package}:{_version(package) or 'not installed'}" for package in self.packages]
        return "|".join([*parts, f"v:{__version__}"])

    def named(self, column: str) -> str:
        """The column's full name, with the label if there is one."""
        return f"{self.label}.{column}" if self.label else column


@cache
def _version(package: str) -> str | None:
    """The installed version, read once per process: the metadata of thirty packages take a quarter of a second."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


class EncoderMetric(Metric):
    """A metric that encodes texts. It doesn't open its encoder; the pipeline binds one to it."""

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
            raise FidelityError(f"the metric {self.kind!r} has no encoder bound to it")
        return self._bound
