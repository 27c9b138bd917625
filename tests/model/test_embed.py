"""Encoders: records and texts become unit vectors in one space, alone or many at once."""

import dataclasses
import time

import numpy as np
import pytest
import torch
from toy import some_leads

from ecgclip.ecg import ECG, EcgclipError
from ecgclip.io.read import read_ecg
from ecgclip.model.prompts import prompt_settings
from ecgclip.model.store import load_model
from ecgclip.networks.encoder import ECGEncoder
from ecgclip.networks.measurements import input_names


def test_ecgs_become_unit_vectors_in_the_space_of_texts(model, records, af):
    vectors = model.embed_ecg([af, records / "pvc", str(records / "normal.hea")])
    assert vectors.shape == (3, 32)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(model.embed_ecg(af), vectors[:1], atol=1e-6), "one record alone, or among others"
    texts = model.embed_text(["atrial fibrillation", "Vorhofflimmern"])
    assert texts.shape == (2, 32)
    assert np.allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-5)
    assert model.embed_text("x").shape == (1, 32)
    assert model.embed_text([]).shape == (0, 32)


def test_no_ecgs_give_no_vectors(model):
    assert model.embed_ecg([]).shape == model.embed_text([]).shape == (0, 32)


def test_nothing_to_embed(model):
    assert model.embed_many([]) == []


def test_the_order_of_a_records_leads_does_not_matter(model, af):
    shuffled = some_leads(af, [af.leads[i] for i in np.random.default_rng(0).permutation(12)])
    assert np.allclose(model.embed_ecg(shuffled), model.embed_ecg(af), atol=1e-5)


def test_eight_independent_leads_are_as_good_as_twelve(model, af):
    eight = some_leads(af, ["I", "II", "V1", "V2", "V3", "V4", "V5", "V6"])
    assert np.allclose(model.embed_ecg(eight), model.embed_ecg(af), atol=1e-3)


def test_short_records_with_hardly_a_beat(model):
    noise = np.random.default_rng(0).normal(0, 0.05, (1, 500))
    one = np.zeros((1, 600), np.float32)
    one[0, 290:310] = np.hanning(20)
    for signal in (noise, one + np.random.default_rng(1).normal(0, 0.004, (1, 600))):
        assert np.isfinite(model.embed_ecg(ECG(signal, 250, ("II",)))).all()


def test_records_embedded_together_are_as_each_alone(model, records, af):
    ecgs = [read_ecg(records / "pvc"), af, some_leads(af, ["II", "V1"])]
    for together, ecg in zip(model.embed_many(ecgs), ecgs, strict=True):
        alone = model.embed(ecg)
        assert np.allclose(together.rhythm, alone.rhythm, atol=1e-5)
        assert together.leads == ecg.leads
        assert together.record == alone.record
        assert together.notes == alone.notes
        assert len(together.beats) == len(alone.beats)
        for a, b in zip(together.beats, alone.beats, strict=True):
            assert a.shape == b.shape
            assert np.allclose(a, b, atol=1e-5)
        assert np.array_equal(together.prepared.signal, alone.prepared.signal)


def test_one_bad_record_loses_no_other(model, records, tmp_path):
    (tmp_path / "bad.hea").write_text("nonsense")
    found = dict(model.embed_each([records / "af", tmp_path / "bad", records / "pvc"]))
    assert isinstance(found[tmp_path / "bad"], EcgclipError)
    assert [len(found[records / name].rhythm) for name in ("af", "pvc")] == [1, 3]
    with pytest.raises(EcgclipError, match="bad.hea"):
        model.classify([records / "af", tmp_path / "bad"], ["AF"])


def test_an_encoder_of_another_rate_is_given_that_rate(tiny_model, af):
    model = load_model(tiny_model)
    ecg = dataclasses.replace(model.config.ecg, sampling_rate=250)
    model.config, model.ecg = dataclasses.replace(model.config, ecg=ecg), ECGEncoder(ecg).eval()
    embedding = model.embed(af)
    assert embedding.prepared.encoder_signal.shape == (1, 12, 2500)
    assert embedding.prepared.signal.shape == (1, 12, 1000)
    assert embedding.rhythm.shape == (1, 32)


def test_what_reading_and_preparing_noted_is_told(model, af):
    signal = np.where(np.arange(af.signal.shape[1]) < 100, np.nan, af.signal)
    broken = ECG(signal, af.sampling_rate, af.leads, notes=("read: x",))
    embedding = model.embed(broken)
    assert embedding.notes == ("read: x", *embedding.prepared.notes)
    assert model.classify(broken, ["AF"]).notes == embedding.notes


def test_in_double_precision_it_answers_the_same(tiny_model, af):
    single, double = load_model(tiny_model), load_model(tiny_model).double()
    labels = ["AF", "purple zebra sign"]
    expected = [s.similarity for s in single.classify(af, labels).scores]
    assert [s.similarity for s in double.classify(af, labels).scores] == pytest.approx(expected, abs=1e-3)
    assert double.embed_ecg(af).dtype == double.embed_text("x").dtype == np.float32
    assert np.isfinite(double.lead_evidence(double.embed(af), double.prompts(["AF"]))).any()


def test_unknown_words_from_many_threads_get_the_stored_weights(tiny_model, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from ecgclip.networks.text import TextEncoder

    expected = load_model(tiny_model).embed_text("purple zebra sign")
    monkeypatch.setattr(TextEncoder, "load_state_dict", slowly(TextEncoder.load_state_dict))
    model = load_model(tiny_model)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: model.embed_text("purple zebra sign"), range(16)))
    assert all(np.allclose(vector, expected, atol=1e-6) for vector in found)


def slowly(work):
    """A function that does the same, but lets other threads run meanwhile."""

    def wait(*args, **kwargs):
        time.sleep(0.05)
        return work(*args, **kwargs)

    return wait


def test_texts_in_batches_are_as_each_alone(model):
    texts = ["atrial fibrillation", "Linksschenkelblock", "x", "old inferior infarct with AV block"]
    alone = np.concatenate([model.embed_text(text) for text in texts])
    assert np.allclose(model.embed_text(texts, batch=3), alone, atol=1e-5)


def test_a_label_is_put_into_the_templates_of_its_language(model):
    found = model.plain_vectors(["Vorhofflimmern", "atrial fibrillation"], ["de", "en"])
    for vector, label, language in zip(found, ("Vorhofflimmern", "atrial fibrillation"), ("de", "en"), strict=True):
        mean = model.embed_text([t.format(label) for t in prompt_settings()["plain"][language]]).mean(0)
        assert np.allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    english = model.plain_vectors(["atrial fibrillation"])
    assert np.allclose(english, found[1:], atol=1e-5), "the language if none is given"
    assert len(model.plain_vectors([])) == 0


def informed(model):
    """The tiny model with a branch that reads age and sex."""
    config = dataclasses.replace(model.config.ecg, demographics=True)
    other = load_model(model.folder)
    other.config, other.ecg = dataclasses.replace(model.config, ecg=config), ECGEncoder(config).eval()
    other.ecg.measured.fit(torch.randn(60, len(input_names(config)), generator=torch.Generator().manual_seed(0)) * 40)
    return other


def told(ecg, **metadata):
    return ECG(ecg.signal, ecg.sampling_rate, ecg.leads, metadata, ecg.source)


def test_age_and_sex_reach_a_model_that_reads_them(model, af):
    vectors = informed(model).embed_ecg([told(af, age=30, sex="female"), told(af, age=80, sex="female"), told(af)])
    assert not np.allclose(vectors[0], vectors[1], atol=1e-4)
    assert not np.allclose(vectors[0], vectors[2], atol=1e-4)


def test_unknown_age_and_sex_are_as_absent_ones(model, af):
    strange = [told(af), told(af, age=None, sex=None), told(af, age=300), told(af, age=-1, sex="x")]
    vectors = informed(model).embed_ecg(strange)
    assert np.allclose(vectors, vectors[:1], atol=1e-6)


def test_a_model_without_age_and_sex_does_not_look_at_them(model, af):
    assert np.array_equal(model.embed_ecg(told(af, age=30, sex="male")), model.embed_ecg(told(af)))


def test_what_a_lead_adds_is_asked_for_the_same_patient(model, af):
    knows = informed(model)
    embedding = knows.embed(told(af, age=80, sex="male"))
    mask = embedding.prepared.mask
    again = knows._rhythm_with(embedding, np.arange(len(mask)), mask)
    assert np.allclose(again, embedding.rhythm, atol=1e-5)
