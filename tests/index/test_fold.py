"""Folding: the kind of the vector file is chosen by the number of windows, or by the user."""

from index_stubs import DIM, NORTH, build, everything, names, one_line

from ecgclip.index.vectors import VectorFile


def test_the_kind_is_chosen_by_the_count_and_never_goes_back(cloud, model, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgclip.index.fold.FOLD_AT", 390)
    index = build([f"{cloud}/r0*", f"{cloud}/r1*"], tmp_path / "index", model)
    info = index.info()
    assert (info["kind"], info["recall_at_10"], info["windows"]) == ("exact", 1, 200)
    index = build(cloud, tmp_path / "index", model)
    info = index.info()
    assert info["kind"] == "ivf"
    assert info["windows"] == 400
    assert 0.9 < info["recall_at_10"] <= 1
    assert info["bytes_a_vector"] < 2 * DIM + 8 + 16  # the noise needs every axis
    assert info["waiting"] == 0
    assert len(everything(index)) == 40  # k of all goes through all lists
    hits = index.search(like=NORTH, k=3, where="record like '%r2_'")  # 180° and more away
    assert len(hits) == 3
    assert all(name.startswith("r2") for name in names(hits))
    one_line(lambda: build(cloud, tmp_path / "index", model, kind="exact"), "cannot become exact")
    index.remove([cloud / f"r{i:02}" for i in range(38)])
    assert index.info()["kind"] == "ivf"
    assert set(everything(index)) == {"r38", "r39"}
    assert build(cloud, tmp_path / "index", model).last.added == 38
    assert len(everything(index)) == 40


def test_while_a_build_is_under_way_vectors_stay_exact(cloud, model, tmp_path, monkeypatch):
    """So that the axes and lists are of all of them, and not of the first folder's."""
    monkeypatch.setattr("ecgclip.index.fold.FOLD_AT", 100)
    kinds, write = [], VectorFile.write
    monkeypatch.setattr(VectorFile, "write", lambda path, kind, *rest: kinds.append(kind) or write(path, kind, *rest))
    assert build(cloud, tmp_path / "index", model).info()["kind"] == "ivf"
    assert kinds == ["exact", "exact", "exact", "ivf"]


def test_the_kind_can_be_chosen_and_the_choice_holds(cloud, model, tmp_path, monkeypatch):
    monkeypatch.setattr("ecgclip.index.fold.FOLD_AT", 100)
    build([f"{cloud}/r0*"], tmp_path / "index", model, kind="exact")
    assert build(cloud, tmp_path / "index", model).info()["kind"] == "exact"
    index = build(cloud, tmp_path / "index", model, kind="ivf")
    assert index.info()["kind"] == "ivf"
    assert len(everything(index)) == 40
    one_line(lambda: build(cloud, tmp_path / "index", model, kind="hnsw"), "hnsw", "exact", "ivf")
