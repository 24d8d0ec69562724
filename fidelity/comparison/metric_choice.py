"""Choosing a comparison's metrics: the requested ones, else the baseline's, else the default set."""

from collections.abc import Callable, Sequence

from fidelity.comparison.offered import check_can_be_scored
from fidelity.config import RunConfig
from fidelity.errors import FidelityError
from fidelity.metrics import Metric, default_metrics, metric_of_kind


def choose_metrics(
    baseline: RunConfig, asked: Sequence[str | Metric] | None = None, *, on_left_out: Callable[[str], None]
) -> list[Metric]:
    """Return the metrics of a comparison.

    Args:
        baseline: Its `metrics:` are used if `asked` is empty. They also give the parameters of the kinds in `asked`.
        asked: Metrics, or their kinds.
        on_left_out: Called with a message for each metric of the default set that this machine can't score.

    Raises:
        ConfigError: There is no metric of that kind.
    """
    written: list[Metric] = list(baseline.metrics or ())
    if not asked:
        available = (_as_far_as_possible(metric, on_left_out) for metric in default_metrics())
        return written or [metric for metric in available if metric]
    return [metric for one in asked for metric in ([one] if isinstance(one, Metric) else _of_kind(one, written))]


def _of_kind(kind: str, written: Sequence[Metric]) -> list[Metric]:
    return [metric for metric in written if metric.kind == kind] or [metric_of_kind(kind)]


def _as_far_as_possible(metric: Metric, on_left_out: Callable[[str], None]) -> Metric | None:
    try:
        check_can_be_scored(metric)
    except FidelityError as error:
        rest = metric.fallback()
        on_left_out(f"{metric.kind} is left out{' in part' if rest else ''}: {error}")
        return rest and _as_far_as_possible(rest, on_left_out)
    return metric
