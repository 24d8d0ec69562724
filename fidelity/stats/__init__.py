"""Statistics of excess and verdicts: numbers in, numbers out, independent of metrics, texts and stores.

`betting` has the gate's bound, valid at any sample size; `bootstrap` the intervals for looking at; `shares` exact
binomial answers; `correction` several tests at once; `planning` what a study of this size can see; `ratios` how many
times as fast; `run_noise` what a mean keeps of its runs' batches, and `tail` what the worst prompts keep of them.
"""

from fidelity.stats.betting import Bound, betting_bound, betting_p_value
from fidelity.stats.bootstrap import Interval, bca_interval, bca_intervals, studentised_intervals, tail_excess
from fidelity.stats.correction import holm
from fidelity.stats.order import READING_SEED, reading_order
from fidelity.stats.planning import detectable_excess, fewest_prompts, prompts_needed, prompts_needed_for_share
from fidelity.stats.ratios import Ratio, paired_ratio, ratio_of_rates
from fidelity.stats.run_noise import RunNoise, run_noise
from fidelity.stats.shares import clopper_pearson, mcnemar, sign_test
from fidelity.stats.tail import stars, tail_noise

__all__ = [
    "READING_SEED",
    "Bound",
    "Interval",
    "Ratio",
    "RunNoise",
    "bca_interval",
    "bca_intervals",
    "betting_bound",
    "betting_p_value",
    "clopper_pearson",
    "detectable_excess",
    "fewest_prompts",
    "holm",
    "mcnemar",
    "paired_ratio",
    "prompts_needed",
    "prompts_needed_for_share",
    "ratio_of_rates",
    "reading_order",
    "run_noise",
    "sign_test",
    "stars",
    "studentised_intervals",
    "tail_excess",
    "tail_noise",
]
