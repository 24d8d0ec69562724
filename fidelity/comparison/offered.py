"""Which columns metrics can give, and what this machine lacks for them."""

from collections.abc import Iterable, Sequence

from fidelity.encoders import CachedEncoder, locate
from fidelity.errors import FidelityError
from fidelity.metrics import EncoderMetric, Metric, every_metric
from fidelity.records import Column
from fidelity.store.store import Store


def check_can_be_scored(metric: Metric) -> None:
    """Check that the packages and the encoder that a metric needs are available, without loading them.

    Raises:
        MissingPackageError: A package is missing; the message names the extra that brings it.
        ConfigError: The encoder is not available.
    """
    metric.require_packages()
    if isinstance(metric, EncoderMetric):
        locate(metric.encoder)


def ready(metric: Metric, store: Store) -> Metric:
    """Return the metric with its encoder, if it needs one. The encoder is loaded when a text is first encoded."""
    check_can_be_scored(metric)
    if not isinstance(metric, EncoderMetric):
        return metric
    return metric.bind(CachedEncoder(locate(metric.encoder), store.root / "embeddings"))


def offered(metric: Metric) -> dict[str, Column]:
    """The columns that a metric can give, without values, including those of metrics scored in its place."""
    fallback = metric.fallback()
    own = {metric.named(column.name): column for column in metric.score([])}
    return own | (offered(fallback) if fallback else {})


def columns_of(metrics: Iterable[Metric]) -> dict[str, Column]:
    """All columns that the metrics can give, without values, by name."""
    return {name: column for metric in metrics for name, column in offered(metric).items()}


def addable(metrics: Sequence[Metric]) -> dict[str, str]:
    """Explain how to add each column that no metric gives, and what this machine lacks for it."""
    have = columns_of(metrics)
    lines: dict[str, str] = {}
    for metric in every_metric():
        given = "".join(
            f", {name}: {name.upper()}" for name, field in type(metric).model_fields.items() if field.is_required()
        )
        entry = f"{{kind: {metric.kind}{given}}}" if given else metric.kind
        how = f"add `- {entry}` to 'metrics:' in the baseline's YAML, or use --metric {metric.kind}"
        try:
            check_can_be_scored(metric)
        except FidelityError as error:
            how += f"; first: {error}"
        lines |= {name: how for name in offered(metric) if name not in have.keys() | lines.keys()}
    return lines
