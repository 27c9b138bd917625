"""The text encoder: a tokenizer that repeats itself, unit vectors, and encoders of the Hugging Face hub."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgclip.ecg import EcgclipError
from ecgclip.networks.config import TextConfig
from ecgclip.networks.text import TextEncoder
from ecgclip.networks.tokenizer import BEGIN, END, PAD, SentencePieceTokenizer, clean, load_tokenizer

CONFIG = TextConfig(vocabulary=220, width=32, layers=1, heads=4, max_tokens=20, dim=16)
TEXTS = [
    "Sinus rhythm. Normal ECG.",
    "Vorhofflimmern mit schneller Überleitung",
    "left bundle branch block, QRS above 120 ms",
    "linksschenkelblock, regelmäßiger Rhythmus",
    "ST elevation in V1, V2, V3: acute anterior myocardial infarction",
    "kein Hinweis auf frischen Infarkt, größere T-Welle",
] * 8


@pytest.fixture(scope="module")
def tokenizer():
    return SentencePieceTokenizer.train(TEXTS, CONFIG)


@pytest.fixture(scope="module")
def encoder(tokenizer):
    torch.manual_seed(0)
    return TextEncoder(CONFIG).eval()


# --- tokenizer --------------------------------------------------------------------------------------------------------


def test_training_the_tokenizer_twice_gives_the_same_bytes(tokenizer):
    assert SentencePieceTokenizer.train(TEXTS, CONFIG).model == tokenizer.model


def test_the_tokenizer_survives_saving(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = load_tokenizer(tmp_path, CONFIG)
    assert torch.equal(again(TEXTS[:6])[0], tokenizer(TEXTS[:6])[0])


def test_a_damaged_tokenizer_is_one_line(tmp_path):
    """It is read when the first text comes, as most labels need none."""
    (tmp_path / "tokenizer.model").write_bytes(b"nonsense")
    tokenizer = load_tokenizer(tmp_path, CONFIG)
    with pytest.raises(EcgclipError, match="tokenizer is damaged") as error:
        tokenizer(TEXTS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "a, b",
    [
        ("VORHOFFLIMMERN MIT SCHNELLER ÜBERLEITUNG", "vorhofflimmern mit schneller überleitung"),
        ("Ü", "U\u0308"),  # composed or not
        ("  sinus \n rhythm ", "Sinus Rhythm"),
        ("sinus rhythm  4.46 unbestätigter Bericht", "sinus rhythm"),
        ("sinus rhythm. Unconfirmed report", "sinus rhythm."),
    ],
)
def test_spelling_that_does_not_matter(tokenizer, a, b):
    ids, mask = tokenizer([a, b])
    assert torch.equal(ids[0][mask[0]], ids[1][mask[1]])


def test_boilerplate_of_the_devices_is_cleaned_and_the_rest_kept():
    assert clean("Sinusrhythmus.  4.46 unbestätigter Bericht") == "sinusrhythmus."
    assert clean("QRS 0.12 s\nin V1") == "qrs 0.12 s in v1"


def test_every_text_begins_and_ends_and_its_pieces_spell_it(tokenizer):
    text = "größere t-welle"
    ids, mask = tokenizer([text, "st"])
    row = ids[0][mask[0]].tolist()
    assert row[0] == BEGIN
    assert row[-1] == END
    assert (ids[~mask] == PAD).all()
    assert tokenizer.pieces.decode(row[1:-1]) == clean(text).replace("ß", "ss")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=80), min_size=1, max_size=3))
def test_any_text_makes_tokens_within_the_limits(tokenizer, texts):
    ids, mask = tokenizer([*texts, "sinus rhythm " * 40])
    assert ids.shape == mask.shape
    assert ids.shape[1] <= CONFIG.max_tokens
    assert mask[-1].sum() == CONFIG.max_tokens
    assert (mask.sum(1) >= 2).all()
    assert ids.min() >= 0
    assert ids.max() < len(tokenizer)


# --- encoder ----------------------------------------------------------------------------------------------------------


def test_text_vectors_have_unit_length_and_do_not_depend_on_their_batch(encoder, tokenizer):
    with torch.inference_mode():
        together = encoder(*tokenizer(["af", *TEXTS[:6]]))
        torch.testing.assert_close(together.norm(dim=-1), torch.ones(7))
        torch.testing.assert_close(encoder(*tokenizer(["af"])), together[:1], atol=1e-5, rtol=0)
    assert (together @ together.T).fill_diagonal_(0).max() < 0.9999, "different texts, different vectors"


def test_a_text_as_long_as_can_be_is_encoded(encoder, tokenizer):
    assert encoder(*tokenizer(["sinus rhythm " * 500])).isfinite().all()


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory):
    """What a user has from the Hugging Face hub, in small: BERT, safetensors, a WordPiece vocabulary."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("hub") / "tiny-bert"
    words = sorted({w for t in TEXTS for w in clean(t).replace(",", "").replace(".", "").replace(":", "").split()})
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *"abcdefghijklmnopqrstuvwxyz"]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    size = len(dict.fromkeys(vocabulary))
    config = BertConfig(
        vocab_size=size,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_hugging_face_encoder_can_be_trained_and_loads_without_its_folder(hub_folder, tmp_path, monkeypatch):
    import shutil

    from toy import few_simulated, recipe, write_ptb_xl

    from ecgclip.model.store import load_model
    from ecgclip.train.clip import train_clip
    from ecgclip.train.text import train_text

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    few_simulated(monkeypatch)
    source = shutil.copytree(hub_folder, tmp_path / "bert")
    write_ptb_xl(tmp_path / "ptb-xl", 20)
    text = {"hf_model": str(source), "dim": 32, "max_tokens": 24, "width": 32}
    plan = recipe(text=text, epochs=1)
    train_text(plan, tmp_path, tmp_path / "text", threads=1)
    stored = json.loads((tmp_path / "text" / "text.json").read_text())
    assert stored["hf_config"]["model_type"] == "bert"
    assert stored["vocabulary"] > 26
    shutil.rmtree(source)
    model = load_model(train_clip(plan, tmp_path, tmp_path / "text", tmp_path / "clip", threads=1))
    vectors = model.embed_text(["sinus rhythm", "linksschenkelblock"])
    assert vectors.shape == (2, 32)
    assert vectors[0] @ vectors[1] < 0.9999


def test_whitened_texts_lie_around_zero_and_all_directions_count_alike():
    torch.manual_seed(0)
    encoder = TextEncoder(CONFIG).eval()
    ids, mask = torch.randint(5, 60, (300, 8), generator=torch.Generator().manual_seed(0)), torch.ones(300, 8).bool()
    with torch.no_grad():
        before = encoder.projected(ids, mask)
        encoder.whiten(before, 1.0)
        after = encoder.projected(ids, mask)

    def spread(x):
        variance = torch.linalg.eigvalsh(x.T.cov())
        return float(variance[-1] / variance[len(variance) // 2])

    assert after.mean(0).abs().max() < 1e-3 * after.std() + 1e-4
    assert spread(after) < 1.5 < spread(before)
