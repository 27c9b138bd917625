"""What an index promises: it finds what brute force finds, follows its archive, and survives whatever happens to it.

Two archives: simulated ECGs through the real (tiny) model, and stubs of 2 s whose first samples *are* their vector, so
that a test chooses who lies next to whom.
"""

import csv
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy import write_ptb_xl

from ecgclip.data.tables import years
from ecgclip.ecg import ECG, EcgclipError
from ecgclip.files import file_sha256
from ecgclip.index import workers
from ecgclip.index.archive import ECGIndex, Hit, shared, unwanted
from ecgclip.index.vectors import VectorFile
from ecgclip.index.workers import SEX, cores
from ecgclip.io.wfdb import read_ecg
from ecgclip.measure.guideline import findings
from ecgclip.model.store import load_model
from ecgclip.networks.text import TextEncoder
from ecgclip.simulate import simulate, write_record

DIM = 32
ROOT = Path(__file__).parents[2]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


@pytest.fixture(scope="module")
def model(tiny_model):
    return load_model(tiny_model)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Seven simulated records; `long` lasts 24 s."""
    folder = tmp_path_factory.mktemp("archive")
    for i, name in enumerate(("af", "normal", "lbbb", "lvh", "paced", "anterior-stemi")):
        write_record(simulate(name, seed=i, sampling_rate=100), folder / name)
    write_record(simulate("pvc", seed=1, seconds=24, sampling_rate=100), folder / "long")
    return folder


@pytest.fixture(scope="module")
def built(archive, model, tmp_path_factory):
    """The index of `archive`: to read, not to change."""
    return ECGIndex.build([archive], tmp_path_factory.mktemp("built") / "index", model=model, workers=1)


@pytest.fixture
def index(built, tmp_path):
    """A copy of it to do anything to."""
    return shutil.copytree(built.folder, tmp_path / "copy")


# --- stubs ------------------------------------------------------------------------------------------------------------


def as_signal(vectors):
    """(windows, DIM) → (1, windows * 200) mV"""
    vectors = np.atleast_2d(vectors)
    signal = np.zeros((len(vectors), 200))
    signal[:, :DIM] = vectors
    return signal.reshape(1, -1)


def as_vectors(ecg):
    vectors = ecg.signal.reshape(-1, 200)[:, :DIM]
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def on_circle(degrees):
    """Unit vectors that lie as far apart as their angles do."""
    angle = np.deg2rad(np.asarray(degrees, float))
    return np.stack([np.cos(angle), np.sin(angle), *[0 * angle] * (DIM - 2)], -1)


NORTH = ECG(as_signal(on_circle(-20)), 100, ("II",))  # to ask with; nearer than 20°, half precision tells no degrees


def stub(folder, name, vectors, age=None, sex=None):
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    signal = np.round(as_signal(vectors) * 10_000).astype("<i2")
    comments = [f"# Age: {age}\n"] * (age is not None) + [f"# Sex: {sex}\n"] * (sex is not None)
    path.with_suffix(".hea").write_text(
        f"{path.name} 1 100 {signal.size}\n{path.name}.dat 16 10000/mV 16 0 0 0 0 II\n{''.join(comments)}"
    )
    path.with_suffix(".dat").write_bytes(signal.tobytes())
    return str(path)


@pytest.fixture
def embedded(monkeypatch, model):
    """Stubs are what they are; → the names of the records embedded so far."""
    done = []

    def embed_each(rows, read):
        for row in rows:
            try:
                ecg = read(row)
            except Exception as error:
                yield row, error
            else:
                done.append(Path(row.file).name)
                yield row, ecg

    def row_of(row, ecg, model):
        vectors = as_vectors(ecg)
        facts = {"age": ecg.metadata["age"], "sex": SEX.get(ecg.metadata["sex"])}
        facts |= {
            "leads": " ".join(ecg.leads),
            "seconds": ecg.seconds,
            "start_s": [2.0 * i for i in range(len(vectors))],
        }
        return replace(row, vectors=vectors.astype(np.float16), **facts)

    monkeypatch.setattr(model, "embed_each", embed_each)
    monkeypatch.setattr(workers, "_row", row_of)
    monkeypatch.setattr("ecgclip.index.embedding.BATCH", 4)
    monkeypatch.setattr(model, "embed_ecg", lambda ecg: as_vectors(ecg if isinstance(ecg, ECG) else read_ecg(ecg))[:1])
    return done


def build(paths, folder, model, **options):
    paths = paths if isinstance(paths, list) else [paths]
    return ECGIndex.build(paths, folder, model=model, **{"workers": 1, **options})


def names(hits):
    return [Path(hit.record).name for hit in hits]


def everything(index):
    """All records that an index holds, by their angle."""
    return names(index.search(like=NORTH, k=1000))


def stubs(folder, angles, first=0):
    """Records r00, r01 …, one at each angle."""
    return [stub(folder, f"r{i:02}", on_circle(angle)) for i, angle in enumerate(angles, first)]


def files(folder):
    return sorted(f.name for f in Path(folder).iterdir())


def said(action, *words):
    """The one line that an action ends in."""
    with pytest.raises(EcgclipError) as error:
        action()
    line = str(error.value)
    assert "\n" not in line and len(line) < 600 and all(word in line for word in words), line
    return line


# --- searching --------------------------------------------------------------------------------------------------------


def brute_force(model, archive, query):
    """record → the best of its windows' cosines, and that window's start."""
    best = {}
    for file in sorted(archive.glob("*.hea")):
        e = model.embed(str(file))
        cosine = e.rhythm @ query
        best[str(file)[:-4]] = (float(cosine.max()), float(e.prepared.start_s[cosine.argmax()]))
    return best


@pytest.mark.parametrize("asked", ["AF", "Vorhofflimmern mit Linksschenkelblock", "purple waves"])
def test_words_find_what_brute_force_finds(asked, built, model, archive):
    parts = [p.vector for p in model.prompt(asked).leaves]  # several count alike
    query = sum(v / (model.reference @ v).std() for v in parts)
    best = brute_force(model, archive, query / np.linalg.norm(query))
    hits = built.search(asked)
    assert [h.rank for h in hits] == list(range(1, 8)) and {h.record for h in hits} == set(best)
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    for hit in hits:
        assert (hit.score, hit.start_s) == (pytest.approx(best[hit.record][0], abs=2e-3), best[hit.record][1])
        assert " ".join(hit.to_dict()) == "rank score record start_s report labels measure" and hit.file == hit.record


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
    assert names(hits) and "paced" not in names(hits)
    assert all(h.score == pytest.approx(best[h.record][0], abs=2e-3) for h in hits)


def test_only_what_is_denied_in_any_case_is_left_out(built, model):
    assert [p.label for p in unwanted(model.prompt("AF with RBBB without LBBB or flutter"))] == ["LBBB", "flutter"]
    assert unwanted(model.prompt("AF or no LBBB")) == [] == unwanted(model.prompt("AF or flutter"))
    assert len(built.search("AF or no LBBB")) == len(built.search("AF")) == 7


@pytest.mark.parametrize("second", ["LBBB", "no LBBB"])
def test_of_alternatives_the_nearest_counts(built, second):
    each = [{hit.record: hit.score for hit in built.search(text)} for text in ("AF", second)]
    found = built.search(f"AF or {second}")
    assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
    best = {r: max(scores[r] for scores in each if r in scores) for r in each[0].keys() | each[1].keys()}
    assert {hit.record: hit.score for hit in found} == best
    assert [hit.score for hit in found] == sorted(best.values(), reverse=True)
    assert built.search("no AF"), "what is only denied is searched from its far side"


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
    assert names(hits) == ["holter", "r00", "r01"] and hits[0].start_s == 180.0
    assert hits[0].score == pytest.approx(np.cos(np.deg2rad(20)), abs=1e-3)
    assert index.info()["records"] == 6 and index.info()["windows"] == 96


def test_nothing_to_search_for(built, archive):
    for options in ({}, {"text": ""}, {"without": "AF"}):
        said(lambda options=options: built.search(**options), "nothing to search for")
    said(lambda: built.search("  "), "empty")
    said(lambda: built.search("AF", k=0), "k must be at least 1")
    said(lambda: built.search("x" * 1000), "1,000 characters")
    said(lambda: built.search(like=archive / "none"), "no such header")
    said(lambda: built.search(like=archive), "is a folder")


def test_shared_counts_the_narrower_concepts_too(model):
    hits = [Hit(i + 1, 0.5, "r", 0.0, "", labels) for i, labels in enumerate([("inferior STEMI",), ("LBBB",), ()])]
    concept = model.kb.find("inferior STEMI").id
    for wanted in (concept, *model.kb.ancestors(concept)):
        assert shared(hits, wanted, model.kb) == (1, 2)
    assert shared(hits, "atrial-fibrillation", model.kb) == (0, 2)


def test_threads_may_share_an_index(built):
    from concurrent.futures import ThreadPoolExecutor

    alone = built.search("AF", where="age is null or age > 0"), built.search("LBBB")
    with ThreadPoolExecutor(4) as pool:
        ask = [lambda: built.search("AF", where="age is null or age > 0"), lambda: built.search("LBBB")]
        answers = [pool.submit(ask[i % 2]) for i in range(60)]
        assert all(a.result() == alone[i % 2] for i, a in enumerate(answers))


# --- filters ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def circle(embedded, model, tmp_path):
    """Forty stubs, a degree apart; of age 0 to 39, every second one a woman; with columns of a table."""
    for i in range(40):
        stub(tmp_path / "a", f"r{i:02}", on_circle(i), age=i, sex="FM"[i % 2])
    table = tmp_path / "facts.csv"
    with table.open("w", newline="") as file:
        rows = csv.writer(file)
        file.write('record,ward,heart rate,größe,Score,2nd,note,"q""t",age_group,window_id\n')
        for i in range(40):
            rows.writerow([f"a/r{i:02}", "ABC"[i % 3], 50 + i, 150 + i, "NaN" if i else "1e999", i, "x", 1, "", i])
    return build(tmp_path / "a", tmp_path / "index", model, facts=table)


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
    """By `without`, or by the text: what has it more probably than is usual. The rest keep their order and their scores."""
    vectors = on_circle(np.arange(40)).astype(np.float32)
    monkeypatch.setattr(model, "reference", vectors)
    likely = {f"r{i:02}" for i in np.flatnonzero(model.likely(model.prompt("LBBB"), vectors))}
    assert 5 < len(likely) < 35
    everything = circle.search("AF", k=40)
    kept = [(h.record, h.score) for h in everything if Path(h.record).name not in likely]
    for options in ({"without": "LBBB"}, {"without": "Linksschenkelblock"}):
        assert [(h.record, h.score) for h in circle.search("AF", k=40, **options)] == kept
    for text in ("AF without LBBB", "Vorhofflimmern, kein LSB", "no LBBB, AF"):
        assert [(h.record, h.score) for h in circle.search(text, k=40)] == kept
    assert [h.record for h in circle.search("AF", without="LBBB", k=3)] == [r for r, _ in kept[:3]], (
        "none is left out for nothing"
    )
    turned = names(circle.search("AF", without="no LBBB", k=40))
    assert turned == [n for n in names(everything) if n in likely], "what is denied twice is asked for"
    near = names(circle.search(like=NORTH, without="LBBB", k=40))
    assert near == [n for n in names(circle.search(like=NORTH, k=40)) if n not in likely], (
        "like cases too, in their order"
    )


def test_what_any_window_has_leaves_out_its_record(embedded, model, tmp_path, monkeypatch):
    """Ten seconds of AF after twenty of sinus rhythm are no ECG without AF, whichever window is the nearest."""
    monkeypatch.setattr("ecgclip.index.archive.FOLD_AT", 2)
    stub(tmp_path / "a", "late", on_circle([0, 0, 60]))
    stub(tmp_path / "a", "free", on_circle([5, 5, 5]))
    index = build(tmp_path / "a", tmp_path / "index", model)
    monkeypatch.setattr(model, "likely", lambda prompt, vectors: vectors @ on_circle(60) > 0.99)
    assert names(index.search(like=NORTH)) == ["late", "free"]
    for options in ({"like": NORTH, "without": "AF"}, {"text": "LBBB without AF"}):
        for where in (None, "start_s = 0"):
            assert names(index.search(**options, where=where)) == ["free"]


def test_filters_come_before_the_ranking(circle):
    for k, where, found in (
        (4, "age >= 30", ["r30", "r31", "r32", "r33"]),
        (3, "age >= 30 and sex = 'F'", ["r30", "r32", "r34"]),
        (100, "age >= 38", ["r38", "r39"]),
        (9, "age > 200", []),
    ):
        assert names(circle.search(like=NORTH, k=k, where=where)) == found


def test_the_nearest_to_an_ecg_are_ranked_by_their_likeness(circle, model, monkeypatch):
    monkeypatch.setattr(model, "likeness", lambda mine, others: 1 - mine @ others.T)  # the farther, the more like
    monkeypatch.setattr("ecgclip.index.archive.CANDIDATES", 5)
    hits = circle.search(like=NORTH, k=2)
    assert names(hits) == ["r07", "r06"], "of eight candidates: four times as many as asked for"
    assert hits[0].score == pytest.approx(1 - np.cos(np.deg2rad(27)), abs=2e-3)
    assert names(circle.search(like=NORTH, k=1, where="age >= 30")) == ["r34"]
    assert names(circle.search(like=NORTH, k=40)) == [f"r{i:02}" for i in reversed(range(40))]


def test_a_hit_says_what_its_score_measures(circle, model, monkeypatch):
    assert {h.measure for h in circle.search(like=NORTH)} == {"cosine"}, "all that a model without statements has"
    monkeypatch.setitem(vars(model), "_statements", "known")
    monkeypatch.setattr(model, "like", lambda vector: vector)
    monkeypatch.setattr(model, "likeness", lambda mine, others: 1 - mine @ others.T)
    assert {h.measure for h in circle.search(like=NORTH)} == {"likeness"}
    assert (
        {h.measure for h in circle.search("AF")} == {h.measure for h in circle.search("AF", like=NORTH)} == {"cosine"}
    )
    hit = circle.search(like=NORTH, k=1)[0]
    assert hit.to_dict()["measure"] == "likeness" and list(hit.to_dict())[1] == "score"


@pytest.mark.parametrize(
    ("where", "first"),
    [
        ("ward = 'C'", "r02"),
        ("ward in ('B', 'C') and größe > 170", "r22"),
        ('"heart rate" > 80', "r31"),
        ('"2nd" = 7', "r07"),
        ("window_id = 5", "r05"),
        ("Score = '1e999'", "r00"),  # JSON knows no such number
        ("Score is null and note = 'x'", "r01"),
        ("record like '%r33'", "r33"),
        ("lower(leads) = 'ii' and length(ward) = 1 and abs(age - 9) < 1", "r09"),
        ("age > (SELECT 20 + age FROM ecgs WHERE ward = 'B' LIMIT 1)", "r22"),
        ("seconds < 10 and leads = 'II' and start_s = 0 and labels = '[]' and report = '' -- all", "r00"),
    ],
)
def test_what_can_be_filtered_by(where, first, circle):
    assert names(circle.search(like=NORTH, k=1, where=where)) == [first]


@pytest.mark.parametrize(
    "where",
    [
        "agee > 60", "age >", "", ")", "age > 0) --", "/*", "age = ?", "age = :x", "\0", "\udcff", "age > (", "'",
        "1) ; DROP TABLE records --", "1; DELETE FROM records", "1) UNION SELECT 'x' FROM windows WHERE (1; VACUUM",
        "ATTACH 'x' AS y", "(PRAGMA user_version)", "age > (SELECT 1 FROM pragma_table_info('records'))",
        "load_extension('x')", "randomblob(9) > 0", "id = 1", "record_id = 1", "printf('%99d', 1) > 0", "1 IN (DELETE FROM records RETURNING 1)", "abs(-9223372036854775808) > 0",
        "EXISTS (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT 1 FROM c WHERE x < 0)",
    ],
)  # fmt: skip
def test_a_bad_condition_is_one_line_and_changes_nothing(where, built):
    before = built.search("AF")
    said(lambda: built.search("AF", where=where), "--where", "columns are record, start_s")
    assert built.search("AF") == before and built.info()["records"] == 7
    assert names(built.search("AF", where="record like '%/paced'")) == ["paced"]  # nothing of the guard is left


def test_no_condition_widens_what_can_be_found(built):
    """Other numbers than those of windows, and text, are no windows."""
    for where in ("0) UNION SELECT 99 WHERE (1", "0) UNION SELECT 'x' WHERE (1", "0) UNION SELECT NULL WHERE (1"):
        assert built.search("AF", where=where) == []


# --- following the archive --------------------------------------------------------------------------------------------


def test_an_unchanged_record_is_not_embedded_again(embedded, model, tmp_path, monkeypatch):
    record, *_ = stubs(tmp_path / "a", range(6))
    build(tmp_path / "a", tmp_path / "index", model)
    stubs(tmp_path / "a", [6], 6)
    again = build([tmp_path / "a", tmp_path / "a/r01.hea", f"{tmp_path}/a/*.hea"], tmp_path / "index", model)
    assert embedded[6:] == ["r06"] and (again.last.added, again.last.unchanged) == (1, 6)
    before = files(tmp_path / "index")
    os.utime(record + ".dat", ns=(1, 1))  # touched: read, but not embedded
    assert build(tmp_path / "a", tmp_path / "index", model).last.unchanged == 7 == len(embedded)
    monkeypatch.setattr(workers, "record_hash", None)  # and not read a second time
    assert build(tmp_path / "a", tmp_path / "index", model).last.unchanged == 7
    assert files(tmp_path / "index") == before  # not even the vectors are written again


def test_a_changed_record_is_embedded_again_and_its_old_vector_gone(embedded, model, tmp_path):
    stubs(tmp_path / "a", range(3))
    build(tmp_path / "a", tmp_path / "index", model)
    stub(tmp_path / "a", "r00", on_circle(90), age=33)
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert embedded[3:] == ["r00"] and (index.last.changed, index.last.unchanged) == (1, 2)
    assert everything(index) == ["r01", "r02", "r00"]
    assert names(index.search(like=NORTH, where="age = 33")) == ["r00"]


def test_a_signal_replaced_by_one_of_same_size_and_older_date_is_noticed(embedded, model, tmp_path):
    """As rsync leaves it: the header is the newer file."""
    record = stub(tmp_path / "a", "r", on_circle(0))
    build(record, tmp_path / "index", model)
    stub(tmp_path / "b", "r", on_circle(90))
    os.utime(tmp_path / "b/r.dat", ns=(10**18, 10**18))
    shutil.copy2(tmp_path / "b/r.dat", record + ".dat")
    assert build(record, tmp_path / "index", model).last.changed == 1


def test_removed_records_are_never_found_and_readded_ones_once(embedded, model, tmp_path, monkeypatch):
    stubs(tmp_path / "a", range(4))
    stubs(tmp_path / "a2", range(4, 8), 4)
    every = [f"r0{i}" for i in range(8)]
    monkeypatch.chdir(tmp_path)
    index = build(["a", "a2"], tmp_path / "index", model)
    assert index.search(like=NORTH, k=1)[0].record == os.path.join("a", "r00")  # as given
    assert index.remove(["a/r00.hea", tmp_path / "a/r01"]).removed == 2 and everything(index) == every[2:]
    assert index.remove(["a", "a/r02", Path("a")]).removed == 2 and everything(index) == every[4:]  # not a2
    assert index.add(["a"]).added == 4
    assert everything(index) == everything(ECGIndex.open(tmp_path / "index", model)) == every
    for nowhere in (["a/r07"], ["a/r00", "nonsense"]):
        said(lambda nowhere=nowhere: index.remove(nowhere), nowhere[-1], "nothing of it")
    assert everything(index) == every  # all or nothing
    shutil.rmtree("a2")
    assert index.remove(missing=True, yes=True).removed == 4
    assert index.remove(["/"]).removed == 4 and everything(index) == [] and index.info()["windows"] == 0
    assert index.add(["a"]).added == 4 and everything(index) == every[:4]


def test_a_moved_archive_keeps_its_vectors_and_facts(embedded, model, tmp_path):
    stubs(tmp_path / "a", range(0, 60, 10))
    (tmp_path / "facts.csv").write_text("record,ward\na/r00,7\n")
    index = build(tmp_path / "a", tmp_path / "index", model, facts=tmp_path / "facts.csv")
    before = [(h.score, h.start_s) for h in index.search(like=NORTH)]
    shutil.move(tmp_path / "a", tmp_path / "b/c")
    stub(tmp_path / "b/c", "r06", on_circle(60))  # new, and of the same size
    os.utime(tmp_path / "b/c/r01.dat", ns=(1, 1))
    index = build(tmp_path / "b", tmp_path / "index", model)
    assert (index.last.moved, index.last.added, index.last.unchanged) == (6, 1, 0) and embedded[6:] == ["r06"]
    hits = index.search(like=NORTH)
    assert [(h.score, h.start_s) for h in hits[:6]] == before
    assert [h.file for h in hits] == [str(tmp_path / f"b/c/r0{i}") for i in range(7)] == [h.record for h in hits]
    assert names(index.search(like=NORTH, where="ward = 7")) == ["r00"]
    assert build(tmp_path / "b", tmp_path / "index", model).last.unchanged == 7 and len(embedded) == 7


def test_a_copy_is_a_record_of_its_own_and_a_renamed_one_is_not(embedded, model, tmp_path):
    stub(tmp_path / "a", "r", on_circle(0))
    build(tmp_path / "a", tmp_path / "index", model)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    index = build([tmp_path / "a", tmp_path / "b"], tmp_path / "index", model)
    assert (index.last.added, index.last.moved, index.last.unchanged) == (1, 0, 1)
    assert build([tmp_path / "a", tmp_path / "b"], tmp_path / "index", model).last.unchanged == 2
    shutil.rmtree(tmp_path / "b")
    shutil.copytree(tmp_path / "a", tmp_path / "c")
    shutil.rmtree(tmp_path / "a")  # two are gone, and one of them is found again
    index = build(tmp_path / "c", tmp_path / "index", model)
    assert (index.last.added, index.last.moved) == (0, 1) and embedded == ["r", "r"]
    assert index.remove(missing=True, yes=True).removed == 1 and everything(index) == ["r"]


def test_an_archive_that_is_out_of_reach_is_not_forgotten(embedded, model, tmp_path):
    stubs(tmp_path / "share", range(20))
    index = build(tmp_path / "share", tmp_path / "index", model)
    for i in range(2):  # a tenth
        (tmp_path / f"share/r{i:02}.hea").unlink()
    assert index.remove(missing=True).removed == 2
    (tmp_path / "share").rename(tmp_path / "unmounted")
    said(lambda: index.remove(missing=True), "18 of 18 records are missing", "share/r02", "--yes", "yes=True")
    assert len(everything(index)) == 18
    (tmp_path / "unmounted").rename(tmp_path / "share")
    assert (
        index.remove(missing=True).removed == 0 and build(tmp_path / "share", index.folder, model).last.unchanged == 18
    )
    shutil.rmtree(tmp_path / "share")
    assert index.remove(missing=True, yes=True).removed == 18


def test_a_segmented_record_is_one_record(model, archive, tmp_path):
    ecg = read_ecg(archive / "long")
    for name, part in (("s1", slice(0, 1200)), ("s2", slice(1200, 2400))):
        write_record(replace(ecg, signal=ecg.signal[:, part]), tmp_path / "a" / name)
    (tmp_path / "a/whole.hea").write_text("whole/2 12 100 2400\ns1 1200\ns2 1200\n")
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert index.last.added == 1 and names(index.search("AF")) == ["whole"]
    assert build(tmp_path / "a", tmp_path / "index", model).last.unchanged == 1
    with (tmp_path / "a/s2.dat").open("rb+") as file:
        file.write(b"\x07\x00" * 500)
    assert build(tmp_path / "a", tmp_path / "index", model).last.changed == 1


def test_an_unreadable_record_is_listed_and_the_rest_goes_in(embedded, model, tmp_path):
    stubs(tmp_path / "a", range(5))
    build(tmp_path / "a/r03", tmp_path / "index", model)
    whole = (tmp_path / "a/r02.dat").read_bytes()
    (tmp_path / "a/r02.dat").write_bytes(whole[:100])
    (tmp_path / "a/r03.hea").write_text("nonsense, or\nrather more\n")  # was well before
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert (index.last.added, index.last.failed, index.info()["unreadable"]) == (3, 2, 2)
    assert everything(index) == ["r00", "r01", "r04"]
    rows = list(csv.DictReader((tmp_path / "index/unreadable.csv").open()))
    assert [r["record"] for r in rows] == [str(tmp_path / "a/r02"), str(tmp_path / "a/r03")]
    assert "truncated" in rows[0]["reason"] and "not a WFDB header" in rows[1]["reason"]
    (tmp_path / "a/r02.dat").write_bytes(whole)
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert (index.last.added, index.last.failed) == (1, 1) and "r02" in everything(index)
    (tmp_path / "a/r03.hea").unlink()
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert index.last.failed == 0 and "unreadable.csv" not in files(tmp_path / "index")


def test_a_bug_in_one_record_does_not_lose_the_others(archive, model, tmp_path, monkeypatch):
    real = findings
    monkeypatch.setattr(workers, "findings", lambda m: 1 / 0 if len(m.st_mv) and m.qrs_ms > 130 else real(m))
    index = build(archive, tmp_path / "index", model)
    assert index.last.failed >= 1 and index.last.added == 7 - index.last.failed
    assert "ZeroDivisionError" in (tmp_path / "index/unreadable.csv").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="names there are text, not bytes")
def test_odd_names_are_names_but_what_is_no_text_is_listed(embedded, model, tmp_path):
    given, folder = ["it's", "50%", "?", "größe", "x;y"], tmp_path / "a #?%"
    for i, name in enumerate(given):
        stub(folder, name, on_circle(10 * i))
    for suffix in (b".hea", b".dat"):
        shutil.copy(os.fsencode(folder) + b"/?" + suffix, os.fsencode(folder) + b"/gr\xfcn" + suffix)
    for _ in range(2):
        index = build(folder, tmp_path / "in dex?#%", model)
        assert index.last.failed == 1 and everything(index) == given
        assert r"gr\xfcn: its name is not UTF-8" in (index.folder / "unreadable.csv").read_text()
    assert index.remove([folder / "50%"]).removed == 1


def test_a_path_that_names_nothing_or_a_folder_of_something_else_is_one_line(archive, model, tmp_path):
    (tmp_path / "thesis.txt").write_text("the only copy")
    for folder in (tmp_path, tmp_path / "thesis.txt"):
        said(lambda folder=folder: build(archive, folder, model), "not empty")
    assert files(tmp_path) == ["thesis.txt"]
    said(lambda: build([archive, tmp_path / "none"], tmp_path / "index", model), "none", "no such record")
    assert build(archive, tmp_path / "index", model).last.added == 7  # it has not spoilt the folder


def test_progress_counts_to_the_end(embedded, model, tmp_path):
    stubs(tmp_path / "a", range(9))
    seen = []
    build(tmp_path / "a", tmp_path / "index", model, progress=lambda *at: seen.append(at))
    assert seen == [(0, 9), (4, 9), (8, 9), (9, 9)]
    build(tmp_path / "a", tmp_path / "index", model, progress=lambda *at: seen.append(at))
    assert seen[4:] == [(9, 9)]


# --- facts ------------------------------------------------------------------------------------------------------------


def test_ptb_xl_brings_its_reports_and_statements(model, tmp_path):
    root = write_ptb_xl(tmp_path / "ptb-xl", records=5)
    index = build(root / "records100/00000", tmp_path / "index", model)
    labels = {Path(h.record).name: (h.labels, h.report) for h in index.search("AF")}
    assert labels["00003_lr"] == (("atrial fibrillation",), "vorhofflimmern mit normaler kammerfrequenz")
    assert "normal ECG" in labels["00001_lr"][0] and "sinus rhythm" in labels["00001_lr"][0]
    assert names(index.search("AF", where="age = 60 and sex = 'F' and strat_fold = 2 and ecg_id = 4")) == ["00004_lr"]


def test_updated_facts_are_taken_over_without_embedding(embedded, model, tmp_path):
    record = stub(tmp_path / "a", "r", on_circle(0), age=50)
    build(record, tmp_path / "index", model)
    table = tmp_path / "facts.csv"
    for text in ("record,report,labels,ward\na/r,first,AF; LBBB; my own,7\n", "record,report\na/r.hea,second\n"):
        table.write_text(text)
        index = build(record, tmp_path / "index", model, facts=table)
    hit = index.search(like=NORTH, where="age = 50")[0]
    assert hit.report == "second" and hit.labels[0] == "atrial fibrillation" and hit.labels[2] == "my own"
    assert embedded == ["r"] and index.last.unchanged == 1
    assert index.search(like=NORTH, where="ward = 7") == []  # no longer said of anyone


def test_facts_outlive_a_changed_record_when_no_table_is_given_again(embedded, model, tmp_path):
    record = stub(tmp_path / "a", "r", on_circle(0), age=50)
    (tmp_path / "facts.csv").write_text("record,report,labels,ward\na/r,first,AF,7\n")
    build(record, tmp_path / "index", model, facts=tmp_path / "facts.csv")
    stub(tmp_path / "a", "r", on_circle(5), age=51)
    index = build(record, tmp_path / "index", model)
    hit = index.search(like=NORTH, where="age = 51 and ward = 7")[0]
    assert index.last.changed == 1 and (hit.report, hit.labels) == ("first", ("atrial fibrillation",))


def test_a_table_of_ones_own_has_the_last_word_over_ptb_xls(model, tmp_path):
    root = write_ptb_xl(tmp_path / "ptb-xl", records=2)
    (tmp_path / "facts.csv").write_text("record,report,ward\nptb-xl/records100/00000/00001_lr,mine,7\n")
    index = build(root / "records100/00000", tmp_path / "index", model, facts=tmp_path / "facts.csv")
    hit = index.search("AF", where="ward = 7 and ecg_id = 1 and age = 60")[0]
    assert hit.report == "mine" and "normal ECG" in hit.labels


@pytest.mark.parametrize("age", ["inf", "-3", "131", "1e1", "nine", "300"])
def test_an_age_that_is_none_is_one_line(age, embedded, model, tmp_path):
    record = stub(tmp_path / "a", "r", on_circle(0))
    (tmp_path / "facts.csv").write_text(f"record,age\na/r,{age}\n")
    said(
        lambda: build(record, tmp_path / "index", model, facts=tmp_path / "facts.csv"), "line 2", repr(age), "0 to 130"
    )
    assert embedded == []


def test_ptb_xl_writes_300_for_all_above_89(embedded, model, tmp_path):
    root = write_ptb_xl(tmp_path / "ptb-xl", records=2)
    table = root / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("60.0", "300.0", 1))
    index = build(root, tmp_path / "index", model)
    assert names(index.search(like=NORTH, where="age > 89 and age < 130")) == ["00001_lr"]


def test_only_plain_numbers_are_numbers(embedded, model, tmp_path):
    cells = {"1e5": "'1e5'", "007": "'007'", "12": "12", "-0.5": "-0.5", "9" * 20: f"'{'9' * 20}'", "true": "'true'"}
    stubs(tmp_path / "a", range(len(cells)))
    rows = [f"a/r{i:02},{cell}" for i, cell in enumerate(cells)]
    (tmp_path / "facts.csv").write_text("\n".join(["record,ward", *rows]))
    index = build(tmp_path / "a", tmp_path / "index", model, facts=tmp_path / "facts.csv")
    for i, value in enumerate(cells.values()):
        assert names(index.search(like=NORTH, where=f"ward = {value}")) == [f"r{i:02}"], value


def test_a_table_that_names_other_records_says_so(embedded, model, tmp_path, capsys):
    stubs(tmp_path / "a", range(3))
    table = tmp_path / "facts.csv"
    table.write_text("record,ward\na/r00,1\na/R01,2\na/r02.hea,3\nb/r03,4\n")
    index = build(tmp_path / "a", tmp_path / "index", model, facts=table)
    assert capsys.readouterr().err == f"note: {table}: 2 of 4 rows name no record that is given\n"
    assert names(index.search(like=NORTH, where="ward > 0")) == ["r00", "r02"]
    table.write_text("record,ward\nr00,1\nr01,2\n")  # paths from another folder
    for content in (table.read_text(), "record,ward\n"):
        table.write_text(content)
        said(lambda: index.add([tmp_path / "a"], facts=table), "facts.csv: none of its", "names a record that is given")


@pytest.mark.parametrize("name", ["{folder}/a/r", "../archive/a/r", "./../archive/b/../a/r.hea"])
def test_a_table_may_name_records_by_any_path(name, embedded, model, tmp_path):
    """It is only compared with the records that are given: no table can have another file read."""
    record = stub(tmp_path / "archive/a", "r", on_circle(0))
    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables/facts.csv"
    table.write_text(f"record,ward\n{name.format(folder=tmp_path / 'archive')},7\n")
    index = build(record, tmp_path / "index", model, facts=table)
    assert names(index.search(like=NORTH, where="ward = 7")) == ["r"]
    stub(tmp_path / "archive/b", "r", on_circle(0))
    table.write_text(f"record,ward\n{tmp_path / 'archive/b/r'},7\n")
    said(
        lambda: build(record, tmp_path / "index", model, facts=table), "none of its 1 rows names a record that is given"
    )
    assert embedded == ["r"]


@pytest.mark.parametrize("age", ["", "nan", "NaN", "unknown", "Unknown", "NA", "n/a", "None"])
def test_an_age_that_is_not_known_stops_no_table(age, embedded, model, tmp_path):
    record = stub(tmp_path / "a", "r", on_circle(0))
    (tmp_path / "facts.csv").write_text(f"record,age\na/r,{age}\n")
    assert names(build(record, tmp_path / "index", model, facts=tmp_path / "facts.csv").search(like=NORTH)) == ["r"]
    assert years(age) is None


def test_a_header_brings_age_sex_and_diagnoses(model, tmp_path):
    ecg = simulate("af", seed=0, sampling_rate=100)
    header = Path(write_record(replace(ecg, metadata={"age": 71, "sex": "female"}), tmp_path / "a/r"))
    header.write_text(header.read_text() + "# Dx: 164889003,426783006,999\n")
    hit = build(tmp_path / "a", tmp_path / "index", model).search("AF", where="age = 71 and sex = 'F'")[0]
    assert hit.labels == ("atrial fibrillation", "sinus rhythm", "999")


# --- kinds ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cloud(embedded, tmp_path):
    """40 records of ten windows each, near the same centre."""
    rng = np.random.default_rng(0)
    for i in range(40):
        stub(tmp_path / "a", f"r{i:02}", on_circle(9 * i) + 0.1 * rng.standard_normal((10, DIM)))
    return tmp_path / "a"


def test_the_kind_is_chosen_by_the_count_and_never_goes_back(cloud, model, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgclip.index.archive.FOLD_AT", 390)
    index = build([f"{cloud}/r0*", f"{cloud}/r1*"], tmp_path / "index", model)
    info = index.info()
    assert (info["kind"], info["recall_at_10"], info["windows"]) == ("exact", 1, 200)
    index = build(cloud, tmp_path / "index", model)
    info = index.info()
    assert info["kind"] == "ivf" and info["windows"] == 400 and 0.9 < info["recall_at_10"] <= 1
    assert info["bytes_a_vector"] < 2 * DIM + 8 + 16 and info["waiting"] == 0  # the noise needs every axis
    assert len(everything(index)) == 40  # k of all goes through all lists
    hits = index.search(like=NORTH, k=3, where="record like '%r2_'")  # 180° and more away
    assert len(hits) == 3 and all(name.startswith("r2") for name in names(hits))
    said(lambda: build(cloud, tmp_path / "index", model, kind="exact"), "cannot become exact")
    index.remove([cloud / f"r{i:02}" for i in range(38)])
    assert index.info()["kind"] == "ivf" and set(everything(index)) == {"r38", "r39"}
    assert build(cloud, tmp_path / "index", model).last.added == 38 and len(everything(index)) == 40


def test_while_a_build_is_under_way_vectors_stay_exact(cloud, model, tmp_path, monkeypatch):
    """So that the axes and lists are of all of them, and not of the first folder's."""
    monkeypatch.setattr("ecgclip.index.archive.FOLD_AT", 100)
    kinds, write = [], VectorFile.write
    monkeypatch.setattr(VectorFile, "write", lambda path, kind, *rest: kinds.append(kind) or write(path, kind, *rest))
    assert build(cloud, tmp_path / "index", model).info()["kind"] == "ivf"
    assert kinds == ["exact", "exact", "exact", "ivf"]


def test_the_kind_can_be_chosen_and_the_choice_holds(cloud, model, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgclip.index.archive.FOLD_AT", 100)
    build([f"{cloud}/r0*"], tmp_path / "index", model, kind="exact")
    assert build(cloud, tmp_path / "index", model).info()["kind"] == "exact"
    index = build(cloud, tmp_path / "index", model, kind="ivf")
    assert index.info()["kind"] == "ivf" and len(everything(index)) == 40
    said(lambda: build(cloud, tmp_path / "index", model, kind="hnsw"), "hnsw", "exact", "ivf")


# --- interruptions ----------------------------------------------------------------------------------------------------

CRITICAL = {
    "_create", "_lock", "_writing", "_write_checksum", "_transaction", "_snapshot", "_fold", "_write_vectors", "_delete", "_jobs",
    "_write_failures", "write", "add", "_open_vectors",
}  # fmt: skip


def at_line(number, action):
    """Run `action`, and die when it comes to its `number`-th line inside a critical function; → lines passed."""
    passed = 0

    def count(frame, event, _):
        nonlocal passed
        if event == "line":
            passed += 1
            if passed == number:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    def enter(frame, event, _):
        path = frame.f_code.co_filename
        ours = path.endswith(("ecgclip/index.py", "ecgclip/vectors.py"))
        return count if ours and frame.f_code.co_name in CRITICAL else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        action()
    finally:
        sys.settrace(before)
    return passed


def in_child(action):
    """Run in a fork; → its process. No thread of FAISS survives a fork, so that the child uses none."""
    pid = os.fork()
    if not pid:
        try:
            import faiss

            faiss.omp_set_num_threads(1)
            action()
            os._exit(0)
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
        finally:
            os._exit(1)
    return pid


@needs_fork
@pytest.mark.parametrize("start", ["nothing", "an index"])
def test_killed_at_any_line_it_opens_and_goes_on(start, embedded, model, tmp_path, monkeypatch):
    """SIGKILL at some forty lines of a build that adds, changes, drops, and folds more than once."""
    monkeypatch.setattr("ecgclip.index.archive.FOLD_AT", 6)
    stubs(tmp_path / "a", range(0, 80, 10))
    first = tmp_path / "first"
    if start == "an index":
        build(tmp_path / "a", first, model, kind="exact")
        stub(tmp_path / "a", "r02", on_circle(5))
        (tmp_path / "a/r03.hea").write_text("broken")
    stubs(tmp_path / "a", range(80, 140, 10), 8)

    def fresh(name):
        folder = tmp_path / name
        shutil.copytree(first, folder) if first.exists() else None
        return folder, lambda: build(tmp_path / "a", folder, model, kind="exact")

    whole, run = fresh("whole")
    lines = at_line(0, run)
    wanted = everything(ECGIndex.open(whole, model))
    last = set(files(whole)) - {f.name for f in whole.glob("vectors-*")}
    assert len(wanted) == 14 - (start == "an index")
    for number in range(1, lines, max(1, lines // 20)):
        folder, run = fresh(f"killed{number}")
        child = in_child(lambda number=number, run=run: at_line(number, run))
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        if not (folder / "index.sqlite").exists():
            said(lambda folder=folder: ECGIndex.open(folder, model), "no index here")
        else:
            left = ECGIndex.open(folder, model)
            found = everything(left)
            assert len(found) == len(set(found)) == left.info()["records"]
            assert start == "nothing" or len(found) >= 6
        assert everything(build(tmp_path / "a", folder, model)) == wanted
        assert everything(ECGIndex.open(folder, model)) == wanted
        assert set(files(folder)) - {f.name for f in folder.glob("vectors-*")} == last
        assert len(list(folder.glob("vectors-*"))) == 1


def test_an_interrupt_keeps_what_was_done(embedded, model, tmp_path):
    stubs(tmp_path / "a", range(10))

    def stop(done, total):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "a", tmp_path / "index", model, progress=stop)
    index = ECGIndex.open(tmp_path / "index", model)
    assert len(everything(index)) == index.info()["waiting"] == 8
    assert index.add([tmp_path / "a"], workers=1).added == 2
    assert len(embedded) == 10 and everything(index) == [f"r0{i}" for i in range(10)]


def test_a_full_disk_is_one_line_and_loses_nothing(embedded, model, tmp_path, monkeypatch):
    stubs(tmp_path / "a", range(6))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(VectorFile, "write", full)
        said(lambda: build(tmp_path / "a", tmp_path / "index", model), "cannot be used", "No space left")
    index = build(tmp_path / "a", tmp_path / "index", model)
    assert index.last.unchanged == 6 == len(embedded) and len(everything(index)) == 6


PROGRAM = """
import sys, time
from ecgclip.index import embedding
from ecgclip.index import ECGIndex
if __name__ == "__main__":
    embedding.BATCH = 2
    put = ECGIndex._put
    ECGIndex._put = lambda *a: (time.sleep(0.1), put(*a))[1]
    ECGIndex.build([sys.argv[1]], sys.argv[2], model=sys.argv[3], workers=2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_two_workers_killed_from_outside_then_again_give_the_index_of_one(archive, built, model, tiny_model, tmp_path):
    for i in range(8):
        write_record(simulate("normal", seed=i, seconds=4, sampling_rate=100), tmp_path / f"more/n{i}")
    shutil.copytree(archive, tmp_path / "more/archive")
    (tmp_path / "program.py").write_text(PROGRAM)
    program = [sys.executable, tmp_path / "program.py", tmp_path / "more", tmp_path / "index", tiny_model]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(program, env=environment, stderr=subprocess.PIPE) as process:
        try:
            wait(lambda: (tmp_path / "index/index.sqlite").exists() and committed(tmp_path / "index"))
            workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            said(lambda: build(tmp_path / "more", tmp_path / "index", model), "another program is writing")
            assert len(ECGIndex.open(tmp_path / "index", model).search("AF")) >= 2  # a reader does not mind
        finally:
            process.kill()
    assert len(workers) >= 2
    wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    index = ECGIndex.open(tmp_path / "index", model)
    assert 2 <= index.info()["records"] < 15
    index = build(tmp_path / "more", tmp_path / "index", model)
    assert index.last.added + index.last.unchanged == 15 and index.last.unchanged >= 2
    same(index.search("AF", k=99), build(tmp_path / "more", tmp_path / "alone", model).search("AF", k=99))


def same(hits, others):
    assert sorted(h.record for h in hits) == sorted(h.record for h in others)
    scores = {h.record: h.score for h in others}
    assert all(h.score == pytest.approx(scores[h.record], abs=2e-3) for h in hits)


def committed(folder):
    db = sqlite3.connect(f"file:{folder}/index.sqlite?mode=ro", uri=True, timeout=30)
    try:
        return db.execute("SELECT count(*) FROM records").fetchone()[0] >= 2
    finally:
        db.close()


def wait(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    assert cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")  # as on Windows and macOS
    assert cores() == 64


# --- several at a time ------------------------------------------------------------------------------------------------


@needs_fork
def test_a_reader_sees_whole_states_while_a_writer_is_at_work(embedded, model, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgclip.index.archive.FOLD_AT", 3)
    stubs(tmp_path / "a", range(6))
    stubs(tmp_path / "b", range(6, 12), 6)
    build(tmp_path / "a", tmp_path / "index", model, kind="exact")

    def write():
        index = ECGIndex.open(tmp_path / "index", model)
        for _ in range(6):
            index.add([tmp_path / "b"], workers=1)
            index.remove([tmp_path / "b"])

    child = in_child(write)
    reader = ECGIndex.open(tmp_path / "index", model)
    seen, status = set(), (0, 0)
    while status == (0, 0):
        for index in (reader, ECGIndex.open(tmp_path / "index", model)):
            found = everything(index)
            assert found == sorted(set(found)) and found[:6] == [f"r{i:02}" for i in range(6)]
            seen.add(len(found))
        status = os.waitpid(child, os.WNOHANG)
    assert status[1] == 0 and len(seen) > 1
    assert len(everything(reader)) == 6


def test_who_comes_second_goes_on_from_what_the_first_left(embedded, model, tmp_path):
    """Two programs that have the index open: neither folds from a state that is past, nor writes beside the other."""
    records = stubs(tmp_path / "a", range(5))
    one = build(records[:1], tmp_path / "index", model)
    two = ECGIndex.open(tmp_path / "index", model)
    for i, index in ((1, one), (2, two), (3, one), (4, two)):
        index.add([records[i]])
        assert everything(one) == everything(two) == [f"r0{j}" for j in range(i + 1)]
    with one._lock():
        said(lambda: two.add(records), "another program is writing to this index; wait for it")
        said(lambda: two.remove(records), "another program is writing")
        assert len(everything(two)) == 5
    two.remove([records[1]])
    assert len(everything(one)) == 4 and one.info() == two.info()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read_can_be_searched(index, model, archive):
    for path in (*index.iterdir(), index):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        assert len(ECGIndex.open(index, model).search("AF", where="seconds > 0")) == 7
        said(lambda: build(archive, index, model), "cannot be used")
    finally:
        index.chmod(0o755)


# --- damage -----------------------------------------------------------------------------------------------------------


def answer(folder, model):
    """What an index does when it is used, or the one line that refuses."""
    try:
        index = ECGIndex.open(folder, model)
        index.info()
        return [(h.record, h.score, h.labels) for where in (None, "age > 0") for h in index.search("AF", where=where)]
    except EcgclipError as error:
        assert "\n" not in str(error) and len(str(error)) < 600
        return str(error)


@pytest.mark.parametrize("damage", ["truncated", "emptied", "deleted", "a folder", "lengthened"])
@pytest.mark.parametrize("name", ["index.sqlite", "vectors-1.faiss", "index.sha256", "index.lock"])
def test_a_damaged_file_is_one_line(name, damage, index, built, model):
    wanted, file = answer(built.folder, model), index / name
    whole = file.read_bytes()
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    elif damage != "deleted":
        file.write_bytes({"truncated": whole[: len(whole) // 2], "emptied": b"", "lengthened": whole + b"x"}[damage])
    got = answer(index, model)
    assert isinstance(got, str) or (got == wanted and name in ("index.sha256", "index.lock"))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=st.sampled_from(["index.sqlite", "vectors-1.faiss"]), at=st.floats(0, 1), bit=st.integers(0, 7))
def test_a_flipped_bit_is_one_line(name, at, bit, built, model, tmp_path_factory):
    folder = shutil.copytree(built.folder, tmp_path_factory.mktemp("flip") / "index")
    whole = bytearray((folder / name).read_bytes())
    whole[int(at * (len(whole) - 1))] ^= 1 << bit
    (folder / name).write_bytes(whole)
    assert isinstance(answer(folder, model), str)
    shutil.rmtree(folder.parent)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(flips=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 255)), min_size=1, max_size=4), header=st.booleans())
def test_damage_that_no_checksum_shows_ends_in_one_line_or_an_answer(flips, header, built, model, tmp_path_factory):
    """As after an interruption, when nothing vouches for the database; the first 2 kB hold its structure."""
    folder = shutil.copytree(built.folder, tmp_path_factory.mktemp("flip") / "index")
    (folder / "index.sha256").unlink()
    whole = bytearray((folder / "index.sqlite").read_bytes())
    for at, mask in flips:
        whole[int(at * ((2048 if header else len(whole)) - 1))] ^= mask
    (folder / "index.sqlite").write_bytes(whole)
    answer(folder, model)
    shutil.rmtree(folder.parent)


def edited(folder, script):
    """As somebody would who also puts the checksum right."""
    db = sqlite3.connect(folder / "index.sqlite")
    db.executescript(script)
    db.close()
    (folder / "index.sha256").write_text(file_sha256(folder / "index.sqlite"))
    return folder


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TRIGGER t AFTER UPDATE ON records BEGIN DELETE FROM records; END",
        "CREATE VIEW v AS SELECT load_extension('x')",
        "CREATE TABLE extra (x)",
        "CREATE INDEX i ON records (abs(age))",
        "DROP INDEX windows_of_record",
        "ALTER TABLE records ADD COLUMN x",
        "PRAGMA application_id=7",
        "UPDATE meta SET value = '/etc/passwd' WHERE key = 'vectors'",
        "UPDATE meta SET value = 'vectors-1.faiss' || char(0) WHERE key = 'vectors'",
        "UPDATE meta SET value = 'vectors-9.faiss' WHERE key = 'vectors'",
        "UPDATE meta SET value = '0' WHERE key = 'nprobe'",
        "UPDATE meta SET value = '31' WHERE key = 'dim'",
        "UPDATE meta SET value = 'x' WHERE key = 'recall'",
        "DELETE FROM meta WHERE key = 'vectors_sha256'",
        "UPDATE records SET labels = '7'",
        "UPDATE meta SET value = '[7]' WHERE key = 'columns'",
        "DELETE FROM records WHERE file LIKE '%af'",
        "INSERT INTO pending VALUES (1000, x'0102')",
    ],
)
def test_an_edited_database_is_one_line(script, index, model):
    line = answer(edited(index, script), model)
    assert isinstance(line, str) and str(index) in line


def test_an_edit_without_a_new_checksum_and_a_later_format_are_noticed(index, model):
    with sqlite3.connect(index / "index.sqlite") as db:
        db.execute("UPDATE records SET report = 'normal'")
    db.close()
    assert "index.sqlite is not as it was written" in answer(index, model)
    assert "format 99" in answer(edited(index, "PRAGMA user_version=99"), model)


def test_what_is_no_index(model, tmp_path, archive):
    said(lambda: ECGIndex.open(tmp_path, model), "no index here", "ecgclip index build")
    said(lambda: ECGIndex.open(archive / "af.hea", model), "no index here")
    (tmp_path / "index.sqlite").write_bytes(b"import os; os.system('x')\n" * 200)
    said(lambda: ECGIndex.open(tmp_path, model), "damaged or foreign")
    (tmp_path / "index.sqlite").unlink()
    sqlite3.connect(tmp_path / "index.sqlite").executescript("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    said(lambda: ECGIndex.open(tmp_path, model), "a database of another program")


def test_other_weights_are_refused_with_what_to_do(index, tiny_model, archive, tmp_path):
    changed = load_model(tiny_model)
    next(changed.ecg.parameters()).data += 0.1
    changed.save(tmp_path / "other")
    stranger = load_model(tmp_path / "other")
    for action in (
        lambda: ECGIndex.open(index, stranger),
        lambda: ECGIndex.open(index, tmp_path / "other").search("AF"),
        lambda: ECGIndex.open(index, tmp_path / "other").add([archive]),
    ):
        said(action, "made by other weights", "--model", "build it again")
    assert ECGIndex.open(index, tmp_path / "other").info()["records"] == 7  # to look at, no weights are needed
    stranger.folder = None
    said(lambda: build(archive, tmp_path / "index", stranger), "save the model")  # never saved, it has no name
