"""The longest case: two texts of 32,000 words finish in every lexical metric, in bounded memory."""

import importlib.util
import json
import subprocess
import sys

import pytest

CHILD = """
import json, pathlib, random, re, sys
from fidelity.metrics.edit import Edit
from fidelity.metrics.facts import Facts
from fidelity.metrics.first_divergence import FirstDivergence
from fidelity.metrics.identical import Identical
from fidelity.metrics.length import Length
from fidelity.metrics.prefix_agreement import PrefixAgreement
from fidelity.metrics.rouge import Rouge
from tests import laws

metrics = [Identical(), PrefixAgreement(profile=True), FirstDivergence(), Length()]
metrics += [Rouge(), Edit(profile=True), Facts()]
if "chrf" in sys.argv[2:]:
    from fidelity.metrics.chrf import Chrf
    metrics.append(Chrf())
rng = random.Random(0)
words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 10))) for _ in range(8_000)]
words += [str(number) for number in range(500)]
text = lambda: "".join(rng.choice(words) + rng.choice("          \\n") for _ in range(int(sys.argv[1])))
pair = laws.pair(text(), text())
values = {column.name: column.values[0] for metric in metrics for column in metric.score([pair])}
# Not ru_maxrss: that begins with what the parent had at the fork.
(peak,) = re.findall(r"VmHWM:\\s+(\\d+) kB", pathlib.Path("/proc/self/status").read_text())
print(json.dumps({"values": values, "MiB": int(peak) / 1024}))
"""


@pytest.mark.parametrize(("words", "most_mib"), [(8_000, 256), pytest.param(32_000, 512, marks=pytest.mark.slow)])
def test_the_longest_texts(words, most_mib):
    extra = ["chrf"] if importlib.util.find_spec("sacrebleu") else []
    command = [sys.executable, "-c", CHILD, str(words), *extra]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    seen = json.loads(child.stdout)
    assert None not in seen["values"].values()
    assert seen["MiB"] < most_mib
