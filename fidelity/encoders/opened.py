"""A loaded encoder, of which each model is loaded when it is first used."""

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fidelity.encoders.base import Encoder, Inference, TokenVectors
from fidelity.encoders.source import EncoderSource
from fidelity.errors import MissingPackageError

if TYPE_CHECKING:
    from fidelity.encoders.classifier import Classifier
    from fidelity.encoders.sentences import SentenceEncoder
    from fidelity.encoders.tokens import TokenEncoder


def open_encoder(source: EncoderSource) -> Encoder:
    """Open the encoder with sentence-transformers or transformers, on a GPU if there is one. It is loaded on first use.

    Raises:
        MissingPackageError: sentence-transformers is not installed.
    Its methods raise:
        ConfigError: the model in the directory doesn't support the request.
    """
    if importlib.util.find_spec("sentence_transformers") is None:
        raise MissingPackageError("sentence-transformers", extra="semantic", needed_by=f"the encoder {source.name!r}")
    return OpenedEncoder(source)


class OpenedEncoder:
    """One model's files as sentence encoder, token encoder at any layer, and classifier of sentence pairs."""

    def __init__(self, source: EncoderSource) -> None:
        self.name, self.revision = source.name, source.revision
        self._source = source
        self._layers: dict[int, TokenEncoder] = {}

    @property
    def max_tokens(self) -> int:
        return self._sentences.max_tokens

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._sentences.embed(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return self._sentences.count_tokens(texts)

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        return self._sentences.unknown_share(texts)

    def token_vectors(self, texts: Sequence[str], *, layer: int, overlap: int) -> list[TokenVectors]:
        if layer not in self._layers:
            with _quiet_imports():
                from fidelity.encoders.tokens import TokenEncoder

            self._layers[layer] = TokenEncoder(self._source, layer)
        return self._layers[layer].token_vectors(texts, overlap=overlap)

    def infer(self, sentences: Sequence[tuple[str, str]]) -> list[Inference]:
        return self._classifier.infer(sentences)

    @cached_property
    def _sentences(self) -> "SentenceEncoder":
        with _quiet_imports():
            from fidelity.encoders.sentences import SentenceEncoder

        return SentenceEncoder(self._source)

    @cached_property
    def _classifier(self) -> "Classifier":
        with _quiet_imports():
            from fidelity.encoders.classifier import Classifier

        return Classifier(self._source)


@contextmanager
def _quiet_imports() -> Iterator[None]:
    """Suppress the import warnings of torch, torchao and transformers."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
