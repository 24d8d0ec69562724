"""Metrics: what scores pairs. This file holds the union of those that ship; a YAML `metrics:` list is read as that."""

from importlib.util import find_spec
from typing import Annotated, get_args

from pydantic import Field, TypeAdapter, ValidationError

from fidelity.errors import ConfigError, MissingPackageError
from fidelity.metrics.base import Encoder, EncoderMetric, Metric
from fidelity.metrics.breaks import CHECKS_OF_CORE, Breaks
from fidelity.metrics.code import Code
from fidelity.metrics.counts import Counts
from fidelity.metrics.first_divergence import FirstDivergence
from fidelity.metrics.identical import Identical
from fidelity.metrics.json import Json
from fidelity.metrics.length import Length
from fidelity.metrics.markdown import Markdown
from fidelity.metrics.prefix_agreement import PrefixAgreement
from fidelity.metrics.rouge import Rouge
from fidelity.metrics.sts import Sts
from fidelity.schema import nearest

__all__ = ["KINDS", "AnyMetric", "Encoder", "EncoderMetric", "Metric", "default_metrics", "metric_of_kind"]

AnyMetric = Annotated[
    Identical | PrefixAgreement | FirstDivergence | Rouge | Length | Markdown | Json | Code | Counts | Breaks | Sts,
    Field(discriminator="kind"),
]
KINDS: tuple[type[Metric], ...] = get_args(get_args(AnyMetric)[0])


def metric_of_kind(kind: str) -> Metric:
    """A metric with its default parameters.

    Raises:
        ConfigError: There is no such kind; the message names the nearest.
    """
    try:
        metric: Metric = TypeAdapter(AnyMetric).validate_python({"kind": kind})
    except ValidationError:
        known = [cls.model_fields["kind"].default for cls in KINDS]
        raise ConfigError(f"there is no metric {kind!r}{nearest(kind, known)}") from None
    return metric


def default_metrics() -> list[Metric]:
    """What is scored if nothing is asked for: all whose packages are installed."""
    lexical = [Identical(), PrefixAgreement(), FirstDivergence(), Rouge(), Length()]
    structural = [metric for metric in (Markdown(), Json(), Code(), Counts()) if _is_installed(metric)]
    breaks = Breaks() if _is_installed(Breaks()) else Breaks(checks=CHECKS_OF_CORE)
    semantic = [Sts()] if find_spec("sentence_transformers") else []
    return [*lexical, *structural, breaks, *semantic]


def _is_installed(metric: Metric) -> bool:
    try:
        metric.signature()
    except MissingPackageError:
        return False
    return True
