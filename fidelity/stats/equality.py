"""Two-sample tests of completions: the kernel test of model equality testing, with permutations within prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
LONGEST = 1000
"""Characters of a completion that the Hamming kernel reads."""


@dataclass(frozen=True)
class Kernel:
    """The similarities of one prompt's completions: first those of one source, then those of the other."""

    values: FloatArray
    """Shape (n + m, n + m), symmetric."""
    first: int
    """n, the number of completions of the first source."""


@dataclass(frozen=True)
class EqualityTest:
    """The result of a permutation test."""

    statistic: float
    """The mean of the prompts' MMD^2; 0 is expected without a difference, and it may be negative."""
    p_value: float
    observed: FloatArray
    """Each prompt's MMD^2, shape (prompts,)."""
    permuted: FloatArray
    """The same after each permutation, shape (permutations, prompts)."""

    def power(self, *, level: float, rng: np.random.Generator, prompts: int | None = None, draws: int = 200) -> float:
        """Share of audits with prompts drawn again (with replacement) from these that would reject equality.

        It describes the difference seen here, so it is optimistic where that was large by chance.
        """
        size = len(self.observed)
        rejected = 0
        for _ in range(draws):
            weights = np.bincount(rng.integers(size, size=prompts or size), minlength=size).astype(np.float64)
            rejected += _p_value(float(self.observed @ weights), self.permuted @ weights) <= level
        return rejected / draws


def hamming_kernel(first: Sequence[str], second: Sequence[str]) -> Kernel:
    """Share of positions with equal characters, completions padded to the longest one and cut after 1,000 characters.

    This is the kernel of Gao, Liang and Guestrin, "Model Equality Testing: Which Model Is This API Serving?",
    arXiv 2410.20247: the count of equal positions, divided by the padded length so that k(x, x) = 1.
    """
    texts = [text[:LONGEST] for text in (*first, *second)]
    codes = np.full((len(texts), max(1, *map(len, texts))), -1, dtype=np.int32)
    for row, text in enumerate(texts):
        codes[row, : len(text)] = [ord(character) for character in text]
    return Kernel((codes[:, None] == codes[None]).mean(axis=2), len(first))


def equality_test(kernels: Sequence[Kernel], *, permutations: int, rng: np.random.Generator) -> EqualityTest:
    """Test whether two sources answer each prompt with the same distribution.

    The statistic is the unbiased estimate of MMD^2 (Gretton et al. 2012, eq. 3) of each prompt, averaged over the
    prompts: the mean kernel among the first source's completions, plus that among the second's, minus twice the mean
    between them, without a completion's kernel with itself. Completions of different prompts never compare. With a
    similarity s as the kernel it equals the energy statistic of the distance 1 - s. The paper permutes all
    completions; here the labels are permuted within each prompt, which is exact under the null hypothesis whatever
    the prompts. The p-value is (1 + permutations at least as large) / (1 + permutations).

    Raises:
        ValueError: A source has fewer than two completions of a prompt, or there is no prompt.
    """
    if not kernels or any(min(kernel.first, len(kernel.values) - kernel.first) < 2 for kernel in kernels):
        raise ValueError("each prompt needs at least two completions of both sources")
    observed = np.array([_mmd(kernel, np.arange(len(kernel.values))[None])[0] for kernel in kernels])
    permuted = np.stack([_mmd(kernel, _orders(kernel, permutations, rng)) for kernel in kernels], axis=1)
    return EqualityTest(
        float(observed.mean()), _p_value(float(observed.sum()), permuted.sum(axis=1)), observed, permuted
    )


def _orders(kernel: Kernel, permutations: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.permuted(np.tile(np.arange(len(kernel.values)), (permutations, 1)), axis=1)


def _mmd(kernel: Kernel, orders: NDArray[np.int64]) -> FloatArray:
    """MMD^2 for each order of the completions, whose first ones are the first source's. Shape (orders,)."""
    n, m = kernel.first, len(kernel.values) - kernel.first
    off_diagonal = kernel.values - np.diag(np.diag(kernel.values))
    is_first = np.zeros(orders.shape)
    np.put_along_axis(is_first, orders[:, :n], 1.0, axis=1)
    is_second = 1 - is_first
    rows = is_first @ off_diagonal
    within_first, between = (rows * is_first).sum(axis=1), (rows * is_second).sum(axis=1)
    within_second = ((is_second @ off_diagonal) * is_second).sum(axis=1)
    result: FloatArray = within_first / (n * (n - 1)) + within_second / (m * (m - 1)) - 2 * between / (n * m)
    return result


def _p_value(observed: float, permuted: FloatArray) -> float:
    rounding = 1e-9
    return float((1 + (permuted >= observed - rounding).sum()) / (1 + len(permuted)))
