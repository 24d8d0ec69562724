"""Shared by all opened encoders: cleaning texts, batches of similar length, and quiet loading."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from fidelity.encoders.source import EncoderSource
from fidelity.errors import ConfigError

LONGEST_INPUT = 8192
"""The token limit for an encoder without its own, to limit memory."""

DATA_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""For transformers: nothing is downloaded, and no Python code of a model is imported."""

WEIGHTS_ONLY: dict[str, Any] = {**DATA_ONLY, "use_safetensors": True}
"""The same for weights, which are never unpickled."""

BATCH = 2048
"""Tokens in a batch, padding included: enough for two cores, and small enough for their caches."""


def encodable(text: str) -> str:
    """The text with lone surrogates, which tokenizers refuse, replaced by the replacement character."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def batches_by_length(lengths: Sequence[int], *, tokens: int = BATCH) -> Iterator[list[int]]:
    """Indices in batches of texts of similar length, with at most `tokens` tokens each, padding included."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def input_limit(tokenizer: Any, config: Any) -> int:
    """The maximum number of tokens that a model reads, special tokens included."""
    positions: int = getattr(config, "max_position_embeddings", None) or LONGEST_INPUT
    if "roberta" in config.model_type:  # its positions start after the padding's
        positions -= config.pad_token_id + 1
    return min(int(tokenizer.model_max_length), positions, LONGEST_INPUT)


def unknown_share(text: str, ids: Sequence[int], spans: Sequence[tuple[int, int]] | None, unknown: int | None) -> float:
    """Share of the text's non-white-space characters in tokens outside the vocabulary; 0 if unknown.

    Without spans, which only some tokenizers return, it is the share of tokens.
    """
    if unknown not in ids:
        return 0.0
    if spans is None:
        return ids.count(unknown) / len(ids)
    inside = sum(end - begin for i, (begin, end) in zip(ids, spans, strict=True) if i == unknown)
    return min(1.0, inside / max(1, len(text) - sum(map(str.isspace, text))))


@contextlib.contextmanager
def loading(source: EncoderSource, library: str) -> Iterator[None]:
    """Load without progress bars and reports of unused weights, and turn errors into ConfigErrors."""
    from transformers.utils import logging

    bar, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # the libraries raise OSError, ValueError, KeyError, SafetensorError, ...
        first = next(iter(str(error).splitlines()), "no message")
        raise ConfigError(
            f"encoder: {source.path} can't be opened by {library} ({type(error).__name__}: {first}); "
            "use a sentence-transformers model, such as a copy of all-MiniLM-L6-v2, or another Hugging Face encoder"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
