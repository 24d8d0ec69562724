"""What all opened encoders share: texts that a tokenizer takes, batches of similar length, loading without noise."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from fidelity.encoders.source import EncoderSource
from fidelity.errors import ConfigError

LONGEST_INPUT = 8192
"""Tokens at once for an encoder that names no limit of its own; keeps memory bounded."""

DATA_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
"""For transformers: nothing is fetched, and no Python that lies beside a model is imported."""

WEIGHTS_ONLY: dict[str, Any] = {**DATA_ONLY, "use_safetensors": True}
"""The same of weights, which are never unpickled."""

BATCH = 2048
"""Tokens in a batch, padding included: enough to fill two cores, little enough for their caches."""


def encodable(text: str) -> str:
    """The text without lone surrogates, which no tokenizer takes: each becomes the replacement character."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def batches_by_length(lengths: Sequence[int], *, tokens: int = BATCH) -> Iterator[list[int]]:
    """Indices grouped so that a batch holds texts of similar length and at most `tokens` tokens, padding included."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def input_limit(tokenizer: Any, config: Any) -> int:
    """Tokens that a model reads at once, special tokens included."""
    positions: int = getattr(config, "max_position_embeddings", None) or LONGEST_INPUT
    if "roberta" in config.model_type:  # its positions begin behind the padding's
        positions -= config.pad_token_id + 1
    return min(int(tokenizer.model_max_length), positions, LONGEST_INPUT)


def unknown_share(text: str, ids: Sequence[int], spans: Sequence[tuple[int, int]] | None, unknown: int | None) -> float:
    """Share of the text's characters, white space apart, inside tokens that the vocabulary lacks; 0 if none is known.

    Without spans, which only some tokenizers give, it is the share of the tokens.
    """
    if unknown not in ids:
        return 0.0
    if spans is None:
        return ids.count(unknown) / len(ids)
    inside = sum(end - begin for i, (begin, end) in zip(ids, spans, strict=True) if i == unknown)
    return min(1.0, inside / max(1, len(text) - sum(map(str.isspace, text))))


@contextlib.contextmanager
def loading(source: EncoderSource, library: str) -> Iterator[None]:
    """Loading without progress bars and reports of unused weights; what goes wrong becomes one kind of error."""
    from transformers.utils import logging

    bar, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # the libraries raise OSError, ValueError, KeyError, SafetensorError, ... for this
        first = next(iter(str(error).splitlines()), "no message")
        raise ConfigError(
            f"encoder: {source.path} can't be opened by {library} ({type(error).__name__}: {first}); "
            "name a sentence-transformers model, such as a copy of all-MiniLM-L6-v2, or another Hugging Face encoder"
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
