"""Metrics score pairs. This file has the union of all metrics, which a YAML `metrics:` list is parsed as."""

from typing import Annotated, get_args

from pydantic import Field, TypeAdapter, ValidationError

from fidelity.encoders.base import Encoder
from fidelity.errors import ConfigError
from fidelity.metrics.base import EncoderMetric, Metric
from fidelity.metrics.bertscore import BertScore
from fidelity.metrics.breaks import Breaks
from fidelity.metrics.chrf import Chrf
from fidelity.metrics.code import Code
from fidelity.metrics.conflicts import Conflicts
from fidelity.metrics.counts import Counts
from fidelity.metrics.diversity import Diversity
from fidelity.metrics.edit import Edit
from fidelity.metrics.expected import Expected
from fidelity.metrics.facts import Facts
from fidelity.metrics.first_divergence import FirstDivergence
from fidelity.metrics.identical import Identical
from fidelity.metrics.inflation import Inflation
from fidelity.metrics.json import Json
from fidelity.metrics.kl import Kl
from fidelity.metrics.length import Length
from fidelity.metrics.markdown import Markdown
from fidelity.metrics.nli import Nli
from fidelity.metrics.prefix_agreement import PrefixAgreement
from fidelity.metrics.rouge import Rouge
from fidelity.metrics.sts import Sts
from fidelity.metrics.thinking import Thinking
from fidelity.metrics.tokens import Tokens
from fidelity.metrics.tools import Tools
from fidelity.schema import nearest

__all__ = [
    "KINDS",
    "AnyMetric",
    "Encoder",
    "EncoderMetric",
    "Metric",
    "default_metrics",
    "every_metric",
    "metric_of_kind",
]

Lexical = Identical | PrefixAgreement | FirstDivergence | Rouge | Chrf | Edit | Facts | Diversity
Lengths = Length | Inflation | Thinking
Factual = Conflicts | Expected
Structural = Markdown | Json | Code | Counts | Tools | Breaks
Semantic = Sts | BertScore | Nli
TeacherForced = Tokens | Kl
AnyMetric = Annotated[Factual | Lexical | Lengths | Structural | Semantic | TeacherForced, Field(discriminator="kind")]
KINDS: tuple[type[Metric], ...] = get_args(get_args(AnyMetric)[0])


def every_metric() -> list[Metric]:
    """One metric of each kind, with default parameters; a required parameter is its name in capitals."""
    return [
        cls(
            **{name: name.upper() for name, field in cls.model_fields.items() if field.is_required() and name != "kind"}
        )
        for cls in KINDS
    ]


def metric_of_kind(kind: str) -> Metric:
    """Return a metric with its default parameters.

    Raises:
        ConfigError: There is no such kind; the message names the nearest.
    """
    try:
        metric: Metric = TypeAdapter(AnyMetric).validate_python({"kind": kind})
    except ValidationError as error:
        known = [cls.model_fields["kind"].default for cls in KINDS]
        if kind not in known:
            raise ConfigError(f"there is no metric {kind!r}{nearest(kind, known)}") from None
        missing = ", ".join(str(e["loc"][-1]) for e in error.errors())
        raise ConfigError(
            f"the metric {kind!r} needs {missing}: set it in the baseline's YAML, "
            f"metrics: [{{kind: {kind}, {missing}: ...}}]"
        ) from None
    return metric


def default_metrics() -> list[Metric]:
    """The default set: all metrics that need no encoder but the one of STS."""
    lexical = [Identical(), PrefixAgreement(), FirstDivergence(), Rouge(), Chrf(), Edit(), Length(), Facts()]
    structural = [Markdown(), Json(), Code(), Counts(), Tools(), Breaks()]
    inflation = [Inflation(), Inflation(of="answer"), Inflation(of="thinking")]
    return [Conflicts(), Expected(), *lexical, *inflation, Thinking(), Diversity(), Sts(), *structural, Tokens()]
