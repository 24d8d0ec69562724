"""The encoders on tiny models with random weights, against what transformers itself gives for them."""

from importlib.util import find_spec

import numpy as np
import pytest

from fidelity.encoders import locate, open_encoder
from fidelity.errors import ConfigError
from tests import laws

pytestmark = [
    pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="sentence-transformers is not installed"),
    pytest.mark.filterwarnings("default"),
]

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ".",
    ",",
    "the",
    "cat",
    "sat",
    "on",
    "mat",
    "##s",
    "a",
    "dog",
    "is",
    "not",
    "ran",
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """Two layers, 16 positions: 14 word pieces and the special tokens."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        initializer_range=0.5,
        id2label={0: "entailment", 1: "Contradiction", 2: "neutral"},
        label2id={"entailment": 0, "Contradiction": 1, "neutral": 2},
    )
    return saved(tmp_path_factory.mktemp("models") / "tiny-bert", BertForSequenceClassification(config))


def saved(folder, model):
    from transformers import BertTokenizer

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer(vocab=str(folder / "vocab.txt"), model_max_length=16).save_pretrained(folder)
    model.save_pretrained(folder)
    return locate(str(folder))


@pytest.fixture
def encoder(bert):
    return open_encoder(bert)


TEXTS = ["the cat sat", "", "a dog is not on the mats.", "the cat sat", "sat " * 40, "\ud800 a", "กรุงเทพ the"]


def test_a_text_gives_the_same_unit_vector_alone_and_in_any_batch(encoder):
    together = encoder.embed(TEXTS)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-6)
    for text, row in zip(TEXTS, together, strict=True):
        assert encoder.embed([text])[0] == pytest.approx(row, abs=1e-5)
    assert encoder.embed([]).shape[0] == 0


def test_a_local_directory_never_reaches_the_network(bert, monkeypatch):
    reached = []
    monkeypatch.setattr("socket.socket.connect", lambda _, address: reached.append(address))
    monkeypatch.setattr("socket.getaddrinfo", lambda *address, **_: reached.append(address) or [])
    encoder = open_encoder(bert)
    encoder.embed(["the cat"])
    encoder.token_vectors(["the cat"], layer=1, overlap=0)
    encoder.infer([("the cat", "a dog")])
    assert reached == []


def test_tokens_are_counted_whole_and_without_special_ones(encoder):
    # The mats. = the, mat, ##s, "." ; the surrogate is a replacement character, which BERT drops.
    assert encoder.count_tokens(TEXTS) == [3, 0, 9, 3, 40, 1, 2]
    assert encoder.count_tokens(["the mats."]) == [4]
    assert encoder.max_tokens == 14


def test_the_unknown_share_is_counted_in_characters(encoder):
    # กรุงเทพ has seven characters (marks included) in one unknown token, "the" three: 7/10.
    assert encoder.unknown_share(TEXTS) == [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.7]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_token_vectors_are_the_hidden_states_of_the_layer(bert, encoder, layer):
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(bert.path), AutoTokenizer.from_pretrained(bert.path)
    vectors = encoder.token_vectors(["the cat sat", "a dog is not on the mats."], layer=layer, overlap=4)
    for text, tokens in zip(["the cat sat", "a dog is not on the mats."], vectors, strict=True):
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states[layer][0]
        expected = torch.nn.functional.normalize(states, dim=-1).numpy()
        assert tokens.vectors == pytest.approx(expected, abs=1e-5)
        assert tokens.counted.tolist() == [False, *[True] * (len(expected) - 2), False]


def test_a_long_text_has_a_vector_for_every_token_taken_from_the_window_around_it(encoder):
    words = ("the cat sat on a mat . a dog ran . " * 4).split()
    (whole,) = encoder.token_vectors([" ".join(words)], layer=2, overlap=6)
    assert whole.vectors.shape == (len(words) + 2, 16)
    assert whole.counted.sum() == len(words)
    # 44 words, windows of 14 every 8: the second reads words 8 to 22 and gives those from 11 to 19.
    (second,) = encoder.token_vectors([" ".join(words[8:22])], layer=2, overlap=6)
    assert whole.vectors[1 + 11 : 1 + 19] == pytest.approx(second.vectors[1 + 3 : 1 + 11], abs=1e-5)


def test_token_vectors_are_remembered_and_forgotten_in_order(encoder, monkeypatch):
    from fidelity.encoders import tokens

    first = encoder.token_vectors(["the cat", "a dog"], layer=1, overlap=0)
    assert encoder.token_vectors(["a dog"], layer=1, overlap=0)[0].vectors is first[1].vectors
    monkeypatch.setattr(tokens, "REMEMBERED", first[0].vectors.nbytes)
    encoder.token_vectors(["the cat"], layer=1, overlap=0)
    assert encoder.token_vectors(["the cat"], layer=1, overlap=0)[0].vectors is first[0].vectors
    assert encoder.token_vectors(["a dog"], layer=1, overlap=0)[0].vectors is not first[1].vectors


def test_a_layer_that_is_not_there_is_refused(encoder):
    with pytest.raises(ConfigError, match="tiny-bert has 2 layers, so there is no layer 3"):
        encoder.token_vectors(["a"], layer=3, overlap=0)


def test_inferences_are_the_classifier_s_probabilities(bert, encoder):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(bert.path).eval()
    tokenizer = AutoTokenizer.from_pretrained(bert.path)
    pairs = [("the cat sat", "a cat ran"), ("a dog", "the dog is not on the mat"), ("the cat sat", "a cat ran")]
    inferences = encoder.infer(pairs)
    for (premise, hypothesis), inference in zip(pairs, inferences, strict=True):
        with torch.no_grad():
            logits = model(**tokenizer(premise, hypothesis, return_tensors="pt")).logits[0]
        labels = [label.lower() for label in model.config.id2label.values()]
        probabilities = dict(zip(labels, logits.softmax(-1).tolist(), strict=True))
        assert inference.contradiction == pytest.approx(probabilities["contradiction"], abs=1e-5)
        assert inference.neutral == pytest.approx(probabilities.get("neutral", 0.0), abs=1e-5)
    assert encoder.infer([]) == []
    assert 0.0 <= encoder.infer([("sat " * 50, "\ud800")])[0].contradiction <= 1.0


def test_a_classifier_that_knows_no_contradiction_is_refused(tmp_path):
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=len(WORDS), hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    source = saved(tmp_path / "sentiment", BertForSequenceClassification(config))
    with pytest.raises(ConfigError, match=r"no label .contradiction. .*label_0"):
        open_encoder(source).infer([("a", "b")])


def test_byte_level_tokenizers_get_a_space_before_the_first_word(tmp_path):
    """Without it RoBERTa reads "the" at the start of a text as another word than elsewhere (bert-score adds it too)."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import AutoModel, AutoTokenizer, RobertaConfig, RobertaModel, RobertaTokenizer

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trained.train_from_iterator(
        ["the cat sat on the mat, the dog ran"] * 3,
        trainers.BpeTrainer(
            special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        ),
    )
    trained.model.save(str(tmp_path))
    RobertaTokenizer(
        vocab=str(tmp_path / "vocab.json"), merges=str(tmp_path / "merges.txt"), model_max_length=12
    ).save_pretrained(tmp_path)
    config = RobertaConfig(
        vocab_size=trained.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=14,
    )
    RobertaModel(config).save_pretrained(tmp_path)

    model, tokenizer = AutoModel.from_pretrained(tmp_path).eval(), AutoTokenizer.from_pretrained(tmp_path)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(model(**tokenizer(" the cat", return_tensors="pt"))[0][0], dim=-1)
    encoder = open_encoder(locate(str(tmp_path)))
    (read,) = encoder.token_vectors(["the cat"], layer=1, overlap=0)
    assert read.vectors == pytest.approx(expected.numpy(), abs=1e-5)
    (long,) = encoder.token_vectors(["the cat sat on the mat " * 5], layer=1, overlap=4)
    assert long.counted.sum() == 30


@pytest.mark.parametrize(("tokens", "size", "overlap"), [(0, 5, 2), (5, 5, 2), (6, 5, 2), (44, 14, 6), (100, 7, 0)])
def test_windows_give_every_token_once_and_read_no_more_than_they_may(tokens, size, overlap):
    from fidelity.encoders.tokens import windows_over

    windows = windows_over(tokens, size, overlap)
    assert [i for w in windows for i in range(w.first, w.last)] == list(range(tokens))
    for window in windows:
        assert window.start <= window.first <= window.last <= window.stop
        assert window.stop - window.start == min(size, tokens)


def test_the_hard_texts_go_through(encoder):
    texts = list(laws.HARD_TEXTS.values())
    assert np.isfinite(encoder.embed(texts)).all()
    assert all(0 <= share <= 1 for share in encoder.unknown_share(texts))
    assert all(np.isfinite(t.vectors).all() for t in encoder.token_vectors(texts, layer=1, overlap=2))
