"""Embedding: a record that fails does not lose the others; as many processes as there are cores."""

import os

from index_stubs import build

from ecgclip.index import embedding
from ecgclip.measure.guideline import findings_of
from ecgclip.processes import cores


def test_a_bug_in_one_record_does_not_lose_the_others(archive, model, tmp_path, monkeypatch):
    real = findings_of
    monkeypatch.setattr(embedding, "findings_of", lambda m: 1 / 0 if (m.qrs_ms > 130).any() else real(m))
    index = build(archive, tmp_path / "index", model)
    assert index.last.failed >= 1
    assert index.last.added == 7 - index.last.failed
    assert "ZeroDivisionError" in (tmp_path / "index/unreadable.csv").read_text()


def test_cores_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    assert cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")  # as on Windows and macOS
    assert cores() == 64
