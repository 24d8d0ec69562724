"""Exact inference for counts: shares of prompts, and breaks of candidate and control."""

from typing import Literal


def clopper_pearson(
    k: int, n: int, *, confidence: float = 0.95, side: Literal["two-sided", "lower", "upper"] = "two-sided"
) -> tuple[float, float]:
    """Exact bounds for the share behind k of n prompts, in [0, 1] (Clopper & Pearson 1934).

    One-sided puts all of 1 - confidence on that side and leaves the other end at 0 or 1. n = 0 gives (0, 1). Raises
    ValueError unless 0 <= k <= n.
    """
    from scipy.special import betaincinv

    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} prompts is not a share")
    error = (1 - confidence) / (2 if side == "two-sided" else 1)
    low = 0.0 if side == "upper" or k == 0 else float(betaincinv(k, n - k + 1, error))
    high = 1.0 if side == "lower" or k == n else float(betaincinv(k + 1, n - k, 1 - error))
    return low, high


def sign_test(k: int, n: int) -> float:
    """Exact two-sided sign test: the p-value of k of n decided prompts on one side if both sides were as likely.

    n = 0 gives 1. Raises ValueError unless 0 <= k <= n.
    """
    from scipy.stats import binomtest

    return float(binomtest(k, n, 0.5).pvalue) if n else 1.0


def mcnemar(candidate_only: int, control_only: int) -> float:
    """Exact one-sided McNemar test: p-value, small where the candidate breaks more prompts than the control does.

    Given the prompts that exactly one of the two breaks, P(candidate breaks this many or more) if either were as
    likely. Prompts that both break, or neither, don't count. Without such prompts the p-value is 1.
    """
    from scipy.special import betainc

    return 1.0 if candidate_only == 0 else float(betainc(candidate_only, control_only + 1, 0.5))
