"""Metrics: what scores pairs. This file holds the union of those that ship; a YAML `metrics:` list is read as that."""

from importlib.util import find_spec
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from fidelity.errors import ConfigError
from fidelity.metrics.base import Encoder, EncoderMetric, Metric
from fidelity.metrics.first_divergence import FirstDivergence
from fidelity.metrics.identical import Identical
from fidelity.metrics.length import Length
from fidelity.metrics.prefix_agreement import PrefixAgreement
from fidelity.metrics.rouge import Rouge
from fidelity.metrics.sts import Sts
from fidelity.schema import nearest

__all__ = ["KINDS", "AnyMetric", "Encoder", "EncoderMetric", "Metric", "default_metrics", "metric_of_kind"]

AnyMetric = Annotated[Identical | PrefixAgreement | FirstDivergence | Rouge | Length | Sts, Field(discriminator="kind")]
KINDS: tuple[type[Metric], ...] = (Identical, PrefixAgreement, FirstDivergence, Rouge, Length, Sts)


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
    """What is scored if nothing is asked for; STS where its package is installed."""
    semantic = [Sts()] if find_spec("sentence_transformers") else []
    return [Identical(), PrefixAgreement(), FirstDivergence(), Rouge(), Length(), *semantic]
