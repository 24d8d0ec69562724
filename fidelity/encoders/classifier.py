"""Cross-encoders for natural language inference: does one sentence contradict the other?"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from fidelity.encoders.source import EncoderSource
from fidelity.encoders.texts import batches_by_length, encodable, input_limit, loading
from fidelity.errors import ConfigError


class Classifier:
    """A sequence classification model with one label called "contradiction". A pair that is too long is cut off."""

    def __init__(self, source: EncoderSource) -> None:
        path = str(source.path)
        with loading(source, "transformers"):
            model = AutoModelForSequenceClassification.from_pretrained(path, local_files_only=True)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        labels = {name.lower(): index for name, index in model.config.label2id.items()}
        if "contradiction" not in labels:
            raise ConfigError(
                f"encoder: {source.name} has no label 'contradiction' (its labels: {', '.join(labels)}); "
                "name a model for natural language inference, such as cross-encoder/nli-deberta-v3-base"
            )
        self._label = labels["contradiction"]
        self._limit = input_limit(self._tokenizer, model.config)
        self._model: Any = model.float().eval().to("cuda" if torch.cuda.is_available() else "cpu")

    def contradictions(self, sentences: Sequence[tuple[str, str]]) -> list[float]:
        """See `Encoder.contradictions`. Distinct pairs once, in batches of similar length."""
        distinct = list(dict.fromkeys(sentences))
        if not distinct:
            return []
        encoded = self._tokenizer(
            [encodable(premise) for premise, _ in distinct],
            [encodable(hypothesis) for _, hypothesis in distinct],
            truncation="longest_first",
            max_length=self._limit,
            verbose=False,
        )
        contradiction: dict[tuple[str, str], float] = {}
        for batch in batches_by_length([len(ids) for ids in encoded["input_ids"]]):
            padded = self._tokenizer.pad(
                {name: [rows[i] for i in batch] for name, rows in encoded.items()}, return_tensors="pt"
            )
            with torch.inference_mode():
                logits = self._model(**padded.to(self._model.device)).logits
            probabilities = logits.softmax(dim=-1)[:, self._label].tolist()
            contradiction |= {distinct[i]: p for i, p in zip(batch, probabilities, strict=True)}
        return [contradiction[pair] for pair in sentences]
