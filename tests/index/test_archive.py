"""The whole: building an index of an archive, and going on with it."""

from index_stubs import build, files, one_line, stubs

from ecgclip.index.archive import ECGIndex
from ecgclip.model.store import load_model


def test_a_path_that_names_nothing_or_a_folder_of_something_else_is_one_line(archive, model, tmp_path):
    (tmp_path / "thesis.txt").write_text("the only copy")
    for folder in (tmp_path, tmp_path / "thesis.txt"):
        one_line(lambda folder=folder: build(archive, folder, model), "not empty")
    assert files(tmp_path) == ["thesis.txt"]
    one_line(lambda: build([archive, tmp_path / "none"], tmp_path / "index", model), "none", "no such record")
    assert build(archive, tmp_path / "index", model).last.added == 7  # it has not spoilt the folder


def test_progress_counts_to_the_end(embedded, model, tmp_path):
    stubs(tmp_path / "a", range(9))
    seen = []
    build(tmp_path / "a", tmp_path / "index", model, progress=lambda *at: seen.append(at))
    assert seen == [(0, 9), (4, 9), (8, 9), (9, 9)]
    build(tmp_path / "a", tmp_path / "index", model, progress=lambda *at: seen.append(at))
    assert seen[4:] == [(9, 9)]


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
        one_line(action, "made by other weights", "--model", "build it again")
    assert ECGIndex.open(index, tmp_path / "other").info()["records"] == 7  # to look at, no weights are needed
    stranger.folder = None
    one_line(lambda: build(archive, tmp_path / "index", stranger), "save the model")  # never saved, it has no name
