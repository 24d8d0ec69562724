"""Sentence embeddings through sentence-transformers."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer

from fidelity.encoders.source import EncoderSource
from fidelity.encoders.texts import LONGEST_INPUT, batches_by_length, encodable, loading, unknown_share


class SentenceEncoder:
    """A sentence-transformers model. Float32, no dropout: a text gives the same vector in any batch to 1e-5."""

    def __init__(self, source: EncoderSource) -> None:
        with loading(source, "sentence-transformers"):
            self._model: Any = (
                SentenceTransformer(str(source.path), local_files_only=True, trust_remote_code=False).float().eval()
            )
            self._tokenizer: Any = self._model.tokenizer
            self._model.max_seq_length = min(self._model.max_seq_length or LONGEST_INPUT, LONGEST_INPUT)
            prompt = self._model.prompts.get(self._model.default_prompt_name or "", "")
            reserved = self._tokenizer.num_special_tokens_to_add() + sum(self.count_tokens([prompt]))
        self.max_tokens: int = self._model.max_seq_length - reserved

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One unit vector per text, in the order given; distinct texts once, in batches of similar length."""
        distinct = list(dict.fromkeys(texts))
        lengths = [min(n, self.max_tokens) for n in self.count_tokens(distinct)]
        rows: dict[str, NDArray[np.float32]] = {}
        for batch in batches_by_length(lengths):
            some = [distinct[i] for i in batch]
            vectors = self._model.encode(
                [encodable(text) for text in some],
                batch_size=len(some),
                normalize_embeddings=True,
                show_progress_bar=False,
            )
            rows |= zip(some, vectors, strict=True)
        return np.stack([rows[text] for text in texts]) if texts else np.empty((0, 0), np.float32)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each whole text, special tokens not counted."""
        return [len(ids) for _, ids, _ in self._tokenize(texts)]

    def unknown_share(self, texts: Sequence[str]) -> list[float]:
        """See `texts.unknown_share`."""
        offsets, unknown = self._tokenizer.is_fast, self._tokenizer.unk_token_id
        return [unknown_share(*tokenized, unknown) for tokenized in self._tokenize(texts, offsets=offsets)]

    def _tokenize(
        self, texts: Sequence[str], *, offsets: bool = False
    ) -> Iterator[tuple[str, list[int], list[tuple[int, int]] | None]]:
        for start in range(0, len(texts), 1024):
            some = [encodable(text) for text in texts[start : start + 1024]]
            tokens = self._tokenizer(
                some,
                add_special_tokens=False,
                return_offsets_mapping=offsets,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )
            yield from zip(some, tokens["input_ids"], tokens.get("offset_mapping", [None] * len(some)), strict=True)
