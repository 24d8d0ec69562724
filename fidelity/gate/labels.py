"""The number format that a label or a format's name states, and whether two of them contradict each other."""

import re
import unicodedata
from typing import NamedTuple

from fidelity.checkpoints import NOT_KNOWN

FLOAT_BITS = 16
"""Weights of as many bits or more are not quantized."""
UNQUANTIZED_WORDS = re.compile(r"\b(?:un|de|non-?|not )quanti[sz]ed\b|\b(?:full|half)[ -]precision\b", re.IGNORECASE)
WEIGHTS_AND_ACTIVATIONS = re.compile(r"(?<![A-Z0-9])W[ _-]?(\d+)[ _/-]*A[ _-]?(\d+)(?!\d)", re.IGNORECASE)
ACTIVATIONS_AND_WEIGHTS = re.compile(r"(?<![A-Z0-9])A(\d+)[ _/-]*W(\d+)(?!\d)|8da(?=(\d)w)", re.IGNORECASE)
NUMBER = re.compile(r"(?<![A-Z])(NVFP|MXFP|MXINT|INT|FP|FLOAT|NF|BF|BFLOAT|F)[ _-]?(\d+)", re.IGNORECASE)
EXPONENT = re.compile(r"(?<![A-Z0-9])E(\d)M(\d)", re.IGNORECASE)
OF_GGUF = re.compile(r"(?<![A-Z0-9])[IT]?Q(\d)(?=[_ -]|$)", re.IGNORECASE)
WHOLE_BITS = re.compile(r"(?<![\d.])(\d+)(?:\.0+)?[ -]?(?:bits?|bpw)\b", re.IGNORECASE)
ANY_BITS = re.compile(r"\d[ -]?(?:bits?|bpw)\b", re.IGNORECASE)
IN_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "eight": 8}
BITS_IN_WORDS = re.compile(rf"\b({'|'.join(IN_WORDS)})[ -]bit\b", re.IGNORECASE)
METHOD = re.compile(
    r"AWQ|GPTQ|HQQ|EXL[23]|AQLM|QuIP|EETQ|BitNet|bitsandbytes|\bbnb|SmoothQuant|Auto-?Round|\bquant(?:i[sz]ed)?\b",
    re.IGNORECASE,
)
CONTRADICTING_METHODS = frozenset({"AWQ", "GPTQ"})
"""Methods with a checkpoint layout of their own; others are stored in several layouts."""
GROUP = re.compile(r"(?<![A-Z0-9])g(?:roup)?[ _-]?(\d+)\b", re.IGNORECASE)
_CACHE_FORMAT = r"(?:(?:BF|FP|INT|FLOAT|NVFP|MXFP)[ _-]?\d+\w*|E\dM\d\w*)"
CACHE = re.compile(
    rf"\bKV\b[ _-]?(?:cache)?[ :=_-]*{_CACHE_FORMAT}?|{_CACHE_FORMAT}[ _-]?KV(?:[ _-]?cache)?\b", re.IGNORECASE
)
"""The words about the KV cache, which is compared on its own."""
MOSTLY = re.compile(r"most (?:of the weights )?are \w+")
"""The clause of a checkpoint's format about unquantized weights."""


class Claim(NamedTuple):
    """A parsed name of a format; None for what it doesn't state."""

    quantized: bool
    weights: int | None = None
    """Bits of the weights; the next field has the activations'."""
    activations: int | None = None
    number: str | None = None
    """`INT`, `FP`, `NVFP`, `NF`; for unquantized weights `BF16`, `FP16`, `FP32`."""
    group: int | None = None
    method: str | None = None


def claim_of(text: str | None) -> Claim | None:
    """Parse a label or a format's name; None if it states nothing about a format.

    Spelling doesn't matter: `w4a16`, full-width letters, invisible characters, any hyphen.
    """
    if text is None or text.startswith(NOT_KNOWN):
        return None
    words = MOSTLY.sub("", CACHE.sub("", _plain(text)))
    if words.startswith("mixed"):
        return Claim(quantized=True)
    numbers = [(name.upper(), int(bits)) for name, bits in NUMBER.findall(words)]
    floats = next((_float(name, bits) for name, bits in numbers if bits >= FLOAT_BITS), None)
    if UNQUANTIZED_WORDS.search(words):
        return Claim(quantized=False, number=floats)
    weights, activations = _bits(words)
    number = next(((name, bits) for name, bits in numbers if bits < FLOAT_BITS), None)
    if number is None and (exponent := EXPONENT.search(words)):
        number = "FP", 1 + int(exponent[1]) + int(exponent[2])
    weights = weights or (number[1] if number else None)
    method = METHOD.search(words)
    if (weights or activations or FLOAT_BITS) < FLOAT_BITS or (activations or FLOAT_BITS) < FLOAT_BITS or method:
        return Claim(
            quantized=True,
            weights=weights if (weights or FLOAT_BITS) < FLOAT_BITS else None,
            activations=activations,
            number=number[0].replace("FLOAT", "FP") if number else None,
            group=int(group[1]) if (group := GROUP.search(words)) else None,
            method=method[0].upper() if method else None,
        )
    if weights is None and ANY_BITS.search(words):  # 1.58-bit
        return Claim(quantized=True)
    return Claim(quantized=False, number=floats) if floats or weights else None


def contradict(claim: Claim, real: Claim | None) -> bool:
    """Whether two parsed formats differ in something that both state."""
    if real is None:
        return False
    methods = {claim.method, real.method}
    return (
        any(
            one is not None and other is not None and one != other
            for one, other in (
                (claim.quantized, real.quantized),
                (claim.weights, real.weights),
                (claim.activations, real.activations),
                (claim.group, real.group),
            )
        )
        or (
            not (claim.number or "").endswith(real.number or "")
            and not (real.number or "").endswith(claim.number or "")
        )
        or methods == CONTRADICTING_METHODS
    )


def _plain(text: str) -> str:
    """The text with one kind of letters, hyphens and spaces, and without invisible characters."""
    letters = [letter for letter in unicodedata.normalize("NFKC", text) if unicodedata.category(letter) != "Cf"]
    hyphens = ("-" if unicodedata.category(letter) == "Pd" or letter == "\u2212" else letter for letter in letters)
    return " ".join("".join(hyphens).split())


def _bits(words: str) -> tuple[int | None, int | None]:
    """The bits of weights and of activations, from `W4A16`, `A16W4`, `8da4w`, `Q4_K`, `4-bit`."""
    if match := WEIGHTS_AND_ACTIVATIONS.search(words):
        return int(match[1]), int(match[2])
    if match := ACTIVATIONS_AND_WEIGHTS.search(words):
        return (int(match[2]), int(match[1])) if match[1] else (int(match[3]), 8)
    if match := OF_GGUF.search(words):
        return int(match[1]), None
    if match := WHOLE_BITS.search(words):
        return int(match[1]), None
    if match := BITS_IN_WORDS.search(words):
        return IN_WORDS[match[1].lower()], None
    return None, None


def _float(name: str, bits: int) -> str:
    """`BF16`, `FP16`, `FP32` from the parts of `bfloat16`, `F16`, `float32`."""
    return f"{'BF' if name.startswith('B') else 'FP'}{bits}"
