"""Cross-encoders for natural language inference: does one sentence contradict the other?"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from fidelity.encoders.base import Inference
from fidelity.encoders.source import EncoderSource
from fidelity.encoders.texts import DATA_ONLY, WEIGHTS_ONLY, batches_by_length, encodable, input_limit, loading
from fidelity.errors import ConfigError


class Classifier:
    """A sequence classification model with one label called "contradiction". A pair that is too long is cut off."""

    def __init__(self, source: EncoderSource) -> None:
        path = str(source.path)
        with loading(source, "transformers"):
            model = AutoModelForSequenceClassification.from_pretrained(path, **WEIGHTS_ONLY)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(path, **DATA_ONLY)
        labels = {name.lower(): index for name, index in model.config.label2id.items()}
        if "contradiction" not in labels:
            raise ConfigError(
                f"encoder: {source.name} has no label 'contradiction' (its labels: {', '.join(labels)}); "
                "name a model for natural language inference, such as cross-encoder/nli-deberta-v3-base"
            )
        self._contradiction, self._neutral = labels["contradiction"], labels.get("neutral")
        self._limit = input_limit(self._tokenizer, model.config)
        self._model: Any = model.float().eval().to("cuda" if torch.cuda.is_available() else "cpu")

    def infer(self, sentences: Sequence[tuple[str, str]]) -> list[Inference]:
        """See `Encoder.infer`. Distinct pairs once, in batches of similar length."""
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
        inferences: dict[tuple[str, str], Inference] = {}
        for batch in batches_by_length([len(ids) for ids in encoded["input_ids"]]):
            padded = self._tokenizer.pad(
                {name: [rows[i] for i in batch] for name, rows in encoded.items()}, return_tensors="pt"
            )
            with torch.inference_mode():
                logits = self._model(**padded.to(self._model.device)).logits
            rows = logits.softmax(dim=-1).tolist()
            inferences |= {distinct[i]: self._inference(row) for i, row in zip(batch, rows, strict=True)}
        return [inferences[pair] for pair in sentences]

    def _inference(self, probabilities: Sequence[float]) -> Inference:
        neutral = 0.0 if self._neutral is None else probabilities[self._neutral]
        return Inference(probabilities[self._contradiction], neutral)
