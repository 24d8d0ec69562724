"""Contextual token vectors from any Hugging Face encoder and layer, over texts of any length."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModel, AutoTokenizer

from fidelity.encoders.base import TokenVectors
from fidelity.encoders.source import EncoderSource
from fidelity.encoders.texts import (
    DATA_ONLY,
    WEIGHTS_ONLY,
    batches_by_length,
    encodable,
    input_limit,
    loading,
    unknown_share,
)
from fidelity.errors import ConfigError

REMEMBERED = 512 * 2**20
"""Bytes of vectors kept for the next call, the least recently used dropped first: a baseline meets many candidates."""


class TokenEncoder:
    """The hidden states of one layer, each of unit length; float32, cut off above the layer, so nothing is wasted."""

    def __init__(self, source: EncoderSource, layer: int) -> None:
        path = str(source.path)
        with loading(source, "transformers"):
            config = AutoConfig.from_pretrained(path, **DATA_ONLY)
            if not 0 <= layer <= config.num_hidden_layers:
                raise ConfigError(f"layer: {source.name} has {config.num_hidden_layers} layers, so there is no {layer}")
            config.num_hidden_layers = layer
            model = AutoModel.from_pretrained(path, config=config, **WEIGHTS_ONLY)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path, **DATA_ONLY)
        if config.is_encoder_decoder:
            model = model.get_encoder()
        self._model: Any = model.float().eval().to("cuda" if torch.cuda.is_available() else "cpu")
        framed, bare = self._tokenizer("a")["input_ids"], self._tokenizer("a", add_special_tokens=False)["input_ids"]
        start = next(i for i in range(len(framed)) if framed[i : i + len(bare)] == bare)
        self._before, self._after = framed[:start], framed[start + len(bare) :]
        self._limit = input_limit(self._tokenizer, config) - len(self._before) - len(self._after)
        # Byte-level BPE reads a word at the start of a text as another word; bert-score puts a space before it.
        self._prefix = " " if config.model_type in {"roberta", "gpt2"} else ""
        self._remembered: OrderedDict[tuple[str, int], TokenVectors] = OrderedDict()

    def token_vectors(self, texts: Sequence[str], *, overlap: int) -> list[TokenVectors]:
        """As `Encoder.token_vectors`; what was asked for lately isn't encoded again."""
        wanted = {text: (text, overlap) for text in texts}
        vectors = {text: self._remembered[key] for text, key in wanted.items() if key in self._remembered}
        missing = [text for text in wanted if text not in vectors]
        vectors |= zip(missing, self._encode(missing, min(overlap, self._limit // 2)), strict=True)
        for text, key in wanted.items():
            self._remembered[key] = vectors[text]
            self._remembered.move_to_end(key)
        held = sum(tokens.vectors.nbytes for tokens in self._remembered.values())
        while held > REMEMBERED:
            held -= self._remembered.popitem(last=False)[1].vectors.nbytes
        return [vectors[text] for text in texts]

    def _encode(self, texts: Sequence[str], overlap: int) -> list[TokenVectors]:
        if not texts:
            return []
        cleaned = [self._prefix + encodable(text).strip() for text in texts]
        fast = self._tokenizer.is_fast
        tokens = self._tokenizer(cleaned, add_special_tokens=False, return_offsets_mapping=fast, verbose=False)
        ids: list[list[int]] = tokens["input_ids"]
        spans = tokens["offset_mapping"] if fast else [None] * len(texts)
        windows = [(i, w) for i, n in enumerate(map(len, ids)) for w in windows_over(n, self._limit, overlap)]
        states = self._states([self._framed(ids[i][w.start : w.stop]) for i, w in windows])
        parts: list[list[NDArray[np.float32]]] = [[] for _ in texts]
        before = len(self._before)
        for (i, w), rows in zip(windows, states, strict=True):
            begin = 0 if w.first == 0 else before + w.first - w.start
            end = len(rows) if w.last == len(ids[i]) else before + w.last - w.start
            parts[i].append(rows[begin:end])
        special = {self._tokenizer.cls_token_id, self._tokenizer.sep_token_id}
        return [
            TokenVectors(
                np.concatenate(parts[i]),
                np.array([token not in special for token in self._framed(ids[i])]),
                unknown_share(cleaned[i], ids[i], spans[i], self._tokenizer.unk_token_id),
            )
            for i in range(len(texts))
        ]

    def _framed(self, ids: list[int]) -> list[int]:
        return [*self._before, *ids, *self._after]

    def _states(self, sequences: Sequence[list[int]]) -> list[NDArray[np.float32]]:
        """The unit vectors of each sequence of token ids, special tokens included."""
        states: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(sequences)
        for batch in batches_by_length([len(ids) for ids in sequences]):
            padded = self._tokenizer.pad({"input_ids": [sequences[i] for i in batch]}, return_tensors="pt")
            with torch.inference_mode():
                inputs = {name: padded[name].to(self._model.device) for name in ("input_ids", "attention_mask")}
                vectors = torch.nn.functional.normalize(self._model(**inputs)[0], dim=-1).cpu().numpy()
            for i, rows, mask in zip(batch, vectors, padded["attention_mask"].numpy(), strict=True):
                states[i] = rows[mask.astype(bool)].copy()
        return states


class Window(NamedTuple):
    """The tokens from start to stop are read at once; the vectors from first to last are taken from this reading."""

    start: int
    stop: int
    first: int
    last: int


def windows_over(tokens: int, size: int, overlap: int) -> list[Window]:
    """Windows that cover the tokens, each as full as it can be; in an overlap a token belongs to the nearer middle."""
    starts = [min(start, max(0, tokens - size)) for start in range(0, max(1, tokens - overlap), size - overlap)]
    stops = [min(start + size, tokens) for start in starts]
    cuts = [0, *((stop + start) // 2 for stop, start in zip(stops, starts[1:], strict=False)), tokens]
    return [Window(*window) for window in zip(starts, stops, cuts, cuts[1:], strict=False)]
