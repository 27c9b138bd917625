"""Searching: words and ECGs find what brute force finds, without what is denied."""

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from index_stubs import NORTH, build, names, on_circle, one_line, stub, stubs

from ecgclip.ecg import EcgclipError
from ecgclip.index.archive import ECGIndex
from ecgclip.index.search import denied_prompts
from ecgclip.io.read import read_ecg
from ecgclip.model.store import load_model
from ecgclip.networks.text import TextEncoder


def brute_force(model, archive, query):
    """record → the best of its windows' cosines, and the cosine of each window by its start."""
    best = {}
    for file in sorted(archive.glob("*.hea")):
        e = model.embed(str(file))
        cosine = e.rhythm @ query
        starts = map(float, e.prepared.start_s)
        best[str(file)[:-4]] = (float(cosine.max()), dict(zip(starts, map(float, cosine), strict=True)))
    return best


@pytest.mark.parametrize("asked", ["AF", "Vorhofflimmern mit Linksschenkelblock", "purple waves"])
def test_words_find_what_brute_force_finds(asked, built, model, archive):
    parts = [p.vector for p in model.prompt(asked).leaves]  # several count alike
    query = sum(v / (model.reference @ v).std() for v in parts)
    best = brute_force(model, archive, query / np.linalg.norm(query))
    hits = built.search(asked)
    assert [h.rank for h in hits] == list(range(1, 8))
    assert {h.record for h in hits} == set(best)
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    for hit in hits:
        highest, by_start = best[hit.record]
        assert hit.score == pytest.approx(highest, abs=2e-3)
        assert by_start[hit.start_s] == pytest.approx(highest, abs=2e-3), "windows may be alike"
        assert " ".join(hit.to_dict()) == "rank score record start_s report labels measure"
        assert hit.file == hit.record


def test_a_record_finds_what_brute_force_finds_but_neither_itself_nor_a_copy(built, model, archive, tmp_path):
    best = brute_force(model, archive, model.embed_ecg(archive / "af")[0])
    del best[str(archive / "af")]
    for suffix in (".hea", ".dat"):
        shutil.copy(archive / f"af{suffix}", tmp_path)
    copy = read_ecg(tmp_path / "af")
    for given_as in (str(archive / "af"), archive / "af.hea", read_ecg(archive / "af"), tmp_path / "af", copy):
        hits = built.search(like=given_as)
        assert {h.record: h.score for h in hits} == pytest.approx({r: s for r, (s, _) in best.items()}, abs=2e-3)
    (tmp_path / "af.hea").unlink()
    assert names(built.search(like=copy, k=1)) == ["af"]  # the signal is all that is left of it


def test_words_and_a_record_count_alike(built, model, archive):
    """Each part by how much its similarity varies over the reference ECGs."""
    parts = [model.embed_ecg(archive / "paced")[0], model.prompt("AF").vector]
    query = sum(v / (model.reference @ v).std() for v in parts)
    best = brute_force(model, archive, query / np.linalg.norm(query))
    hits = built.search("AF", like=archive / "paced")
    assert names(hits)
    assert "paced" not in names(hits)
    assert all(h.score == pytest.approx(best[h.record][0], abs=2e-3) for h in hits)


def test_only_what_is_denied_in_any_case_is_left_out(built, model):
    denied = denied_prompts(model.prompt("AF with RBBB without LBBB or flutter"))
    assert [prompt.label for prompt in denied] == ["LBBB", "flutter"]
    assert denied_prompts(model.prompt("AF or no LBBB")) == []
    assert denied_prompts(model.prompt("AF or flutter")) == []
    assert len(built.search("AF or no LBBB")) == len(built.search("AF")) == 7


@pytest.mark.parametrize("second", ["LBBB", "no LBBB"])
def test_of_alternatives_the_nearest_counts(built, second):
    each = [{hit.record: hit.score for hit in built.search(text)} for text in ("AF", second)]
    found = built.search(f"AF or {second}")
    assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
    best = {r: max(scores[r] for scores in each if r in scores) for r in each[0].keys() | each[1].keys()}
    assert {hit.record: hit.score for hit in found} == best
    assert [hit.score for hit in found] == sorted(best.values(), reverse=True)


def test_what_is_only_denied_is_searched_from_its_far_side(built):
    denied = next(label for label in ("AF", "LBBB", "flutter", "STEMI", "WPW", "LVH") if built.search(f"no {label}"))
    near = {hit.record: hit.score for hit in built.search(denied)}
    far = {hit.record: hit.score for hit in built.search(f"no {denied}") if not hit.record.endswith("long")}
    assert far == pytest.approx(
        {record: -near[record] for record in far}, abs=1e-6
    )  # of several windows, the best counts


@pytest.mark.parametrize("text, without", [("AF with QTc > 500", None), ("AF", "rate < 40")])
def test_a_number_cannot_be_searched_for(built, text, without):
    with pytest.raises(EcgclipError, match="is measured in a recording"):
        built.search(text, without=without)


def test_german_finds_what_english_finds(built):
    for german, english in (
        ("Vorhofflimmern", "atrial fibrillation"),
        ("Vorhofflimmern mit Linksschenkelblock", "AF with left bundle branch block"),
    ):
        assert built.search(german) == built.search(english)


def test_a_long_record_is_found_once_by_its_best_window(embedded, model, tmp_path):
    stub(tmp_path / "a", "holter", on_circle(np.arange(90, -1, -1.0)))  # the 91st window is nearest
    stubs(tmp_path / "a", range(100, 105))
    index = build(tmp_path / "a", tmp_path / "index", model)
    hits = index.search(like=NORTH, k=3)
    assert names(hits) == ["holter", "r00", "r01"]
    assert hits[0].start_s == 180.0
    assert hits[0].score == pytest.approx(np.cos(np.deg2rad(20)), abs=1e-3)
    assert index.info()["records"] == 6
    assert index.info()["windows"] == 96


def test_nothing_to_search_for(built, archive):
    for options in ({}, {"text": ""}, {"without": "AF"}):
        one_line(lambda options=options: built.search(**options), "nothing to search for")
    one_line(lambda: built.search("  "), "empty")
    one_line(lambda: built.search("AF", k=0), "k must be at least 1")
    one_line(lambda: built.search("x" * 1000), "1,000 characters")
    one_line(lambda: built.search(like=archive / "none"), "no such file or record")
    one_line(lambda: built.search(like=archive), "is a folder")


def test_threads_may_share_an_index(built):
    alone = built.search("AF", where="age is null or age > 0"), built.search("LBBB")
    with ThreadPoolExecutor(4) as pool:
        ask = [lambda: built.search("AF", where="age is null or age > 0"), lambda: built.search("LBBB")]
        answers = [pool.submit(ask[i % 2]) for i in range(60)]
        assert all(a.result() == alone[i % 2] for i, a in enumerate(answers))


def test_new_words_from_many_threads_find_what_one_thread_finds(built, tiny_model, monkeypatch):
    def ask(index):
        return [hit.to_dict() for hit in index.search("purple zebra sign", k=3)]

    expected = ask(ECGIndex.open(built.folder, load_model(tiny_model)))
    load = TextEncoder.load_state_dict
    monkeypatch.setattr(TextEncoder, "load_state_dict", lambda *given: (time.sleep(0.05), load(*given))[1])
    index = ECGIndex.open(built.folder, load_model(tiny_model))
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(lambda _: ask(index), range(16)))


def test_what_is_denied_is_left_out(circle, model, monkeypatch):
    """By `without`, or by the text: what has it more probably than is usual; others keep their order and scores."""
    vectors = on_circle(np.arange(40)).astype(np.float32)
    monkeypatch.setattr(model, "reference", vectors)
    likely = {f"r{i:02}" for i in np.flatnonzero(model.likely(model.prompt("LBBB"), vectors))}
    assert 5 < len(likely) < 35
    unfiltered = circle.search("AF", k=40)
    kept = [(h.record, h.score) for h in unfiltered if Path(h.record).name not in likely]
    for options in ({"without": "LBBB"}, {"without": "Linksschenkelblock"}):
        assert [(h.record, h.score) for h in circle.search("AF", k=40, **options)] == kept
    for text in ("AF without LBBB", "Vorhofflimmern, kein LSB", "no LBBB, AF"):
        assert [(h.record, h.score) for h in circle.search(text, k=40)] == kept
    first = circle.search("AF", without="LBBB", k=3)
    assert [h.record for h in first] == [record for record, _ in kept[:3]], "others take the places of those left out"
    turned = names(circle.search("AF", without="no LBBB", k=40))
    assert turned == [n for n in names(unfiltered) if n in likely], "what is denied twice is asked for"
    similar = names(circle.search(like=NORTH, k=40))
    assert names(circle.search(like=NORTH, without="LBBB", k=40)) == [name for name in similar if name not in likely]


def test_what_any_window_has_leaves_out_its_record(embedded, model, tmp_path, monkeypatch):
    """Ten seconds of AF after twenty of sinus rhythm are no ECG without AF, whichever window is the nearest."""
    monkeypatch.setattr("ecgclip.index.fold.FOLD_AT", 2)
    monkeypatch.setattr("ecgclip.index.search.CHUNK", 2)
    stub(tmp_path / "a", "late", on_circle([0, 0, 60]))
    stub(tmp_path / "a", "free", on_circle([5, 5, 5]))
    index = build(tmp_path / "a", tmp_path / "index", model)
    monkeypatch.setattr(model, "likely", lambda prompt, vectors: vectors @ on_circle(60) > 0.99)
    assert names(index.search(like=NORTH)) == ["late", "free"]
    for options in ({"like": NORTH, "without": "AF"}, {"text": "LBBB without AF"}):
        for where in (None, "start_s = 0"):
            assert names(index.search(**options, where=where)) == ["free"]


def test_the_nearest_to_an_ecg_are_ranked_by_their_likeness(circle, model, monkeypatch):
    monkeypatch.setattr(model, "likeness", lambda mine, others: 1 - mine @ others.T)  # the farther, the more like
    monkeypatch.setattr("ecgclip.index.search.LIKENESS_CANDIDATES", 5)
    hits = circle.search(like=NORTH, k=2)
    assert names(hits) == ["r07", "r06"], "of eight candidates: four times as many as asked for"
    assert hits[0].score == pytest.approx(1 - np.cos(np.deg2rad(27)), abs=2e-3)
    assert names(circle.search(like=NORTH, k=1, where="age >= 30")) == ["r34"]
    assert names(circle.search(like=NORTH, k=40)) == [f"r{i:02}" for i in reversed(range(40))]
