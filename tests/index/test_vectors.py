"""Files of vectors: the nearest of those that may be found are found, in few bytes; a foreign file is refused."""

import faiss
import numpy as np
import pytest

from ecgclip.ecg import EcgclipError
from ecgclip.files import file_sha256
from ecgclip.index import vectors
from ecgclip.index.vectors import VectorFile

DIM = 64
NONE = np.empty(0, np.int64)


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def cloud(n, dim=DIM, decay=6.0, seed=0):
    """Unit vectors in clusters, with a mean and with energy that falls along the axes, as embeddings have them."""
    rng, shape = np.random.default_rng(seed), np.exp(-np.arange(dim) / decay / 2)
    centres = np.random.default_rng(0).standard_normal((20, dim))
    return unit((centres[rng.integers(0, 20, n)] + 0.5 * rng.standard_normal((n, dim))) * shape + 0.5 * shape)


def write(path, kind, x, ids=None, old=None, dead=NONE):
    ids = np.arange(len(x)) if ids is None else ids
    waiting = lambda: ((ids[i : i + 700], x[i : i + 700]) for i in range(0, len(x), 700))
    facts = VectorFile.write(path, kind, old, np.asarray(dead, np.int64), waiting, x.shape[1])
    return VectorFile.open(path, facts["vectors_sha256"], facts["nprobe"], x.shape[1]), facts


@pytest.fixture(scope="module", params=vectors.KINDS)
def held(request, tmp_path_factory):
    """4,000 vectors in a file of each kind."""
    x = cloud(4000)
    return x, write(tmp_path_factory.mktemp("vectors") / "v.faiss", request.param, x)[0]


def recall(file, x, queries, allowed=None, dead=NONE):
    """The share of the ten nearest that are found, with the ids and the scores of all that is found."""
    may = np.isin(np.arange(len(x)), allowed if allowed is not None else np.setdiff1d(np.arange(len(x)), dead))
    truth = np.argsort(-np.where(may, queries @ x.T, -2), axis=1)[:, :10]
    found = [file.search(q, 10, allowed, dead) for q in queries]
    shares = [len({i for i, _ in f} & set(t)) / min(10, may.sum()) for f, t in zip(found, truth, strict=True)]
    return float(np.mean(shares)), found


def test_the_nearest_are_found_with_their_cosine(held):
    x, file = held
    queries = cloud(100, seed=1)
    share, found = recall(file, x, queries)
    assert share >= 0.95
    for query, hits in zip(queries, found, strict=True):
        assert [score for _, score in hits] == sorted((score for _, score in hits), reverse=True)
        assert all(score == pytest.approx(float(x[i] @ query), abs=0.01) for i, score in hits)


def test_stored_vectors_are_read_again(held):
    x, file = held
    ids = np.array([3999, 0, 17, 17])
    assert np.einsum("ij,ij->i", file.vectors(ids), x[ids]).min() > 0.99


@pytest.mark.parametrize("count", [3, 40, 2000, 3999])
def test_only_what_may_be_found_is_and_all_of_it(held, count):
    x, file = held
    allowed = np.random.default_rng(count).permutation(len(x))[:count]  # in no order
    share, found = recall(file, x, cloud(30, seed=2), allowed)
    assert share >= 0.95
    assert {i for f in found for i, _ in f} <= set(allowed.tolist())
    assert all(len(f) == min(10, count) for f in found)
    assert file.search(x[0], 10, NONE, NONE) == []


def test_the_dead_are_not_found(held):
    x, file = held
    dead = np.arange(0, len(x), 2)
    share, found = recall(file, x, cloud(30, seed=3), None, dead)
    assert share >= 0.93
    assert all(i % 2 for f in found for i, _ in f)


def test_more_than_a_few_lists_hold_can_be_asked_for(held):
    x, file = held
    assert {i for i, _ in file.search(x[0], len(x), None, NONE)} == set(range(len(x)))


@pytest.mark.parametrize("kind", vectors.KINDS)
def test_a_file_grows_and_loses_vectors(kind, tmp_path):
    x = cloud(3000)
    old, facts = write(tmp_path / "1", kind, x[:2000])
    new, grown = write(tmp_path / "2", kind, x[2000:], np.arange(2000, 3000), old, np.arange(100))
    assert len(new) == 2900
    assert grown["nprobe"] == facts["nprobe"]
    share, found = recall(new, x, cloud(50, seed=4), np.arange(100, 3000))
    assert share >= 0.93
    assert share == recall(new, x, cloud(50, seed=4), None, np.arange(100))[0]
    assert new.search(x[5], 1, None, NONE)[0][0] != 5
    assert len(old) == 2000


def test_exact_becomes_ivf_but_not_back(tmp_path):
    x = cloud(3000)
    exact, facts = write(tmp_path / "1", "exact", x[:2000])
    assert facts["recall"] == 1
    assert exact.kind == "exact"
    ivf, facts = write(tmp_path / "2", "ivf", x[2000:], np.arange(2000, 3000), exact, [7])
    assert ivf.kind == "ivf"
    assert len(ivf) == 2999
    assert 0.9 < facts["recall"] <= 1
    assert recall(ivf, x, cloud(100, seed=5), None, np.array([7]))[0] == pytest.approx(facts["recall"], abs=0.04)
    with pytest.raises(EcgclipError, match="cannot become exact again"):
        write(tmp_path / "3", "exact", x[:1], old=ivf)


def test_an_ivf_that_has_outgrown_its_lists_gets_new_ones(tmp_path):
    x = cloud(9000)
    old, _ = write(tmp_path / "1", "ivf", x[:2000])
    new, facts = write(tmp_path / "2", "ivf", x[2000:], np.arange(2000, 9000), old, np.arange(100))
    assert len(new) == 8900
    assert vectors._list_count(new.index) > 3 * vectors._list_count(old.index)
    alive = np.arange(100, 9000)
    share, found = recall(new, x, cloud(100, seed=6), alive)
    assert share >= 0.93, "measured anew"
    assert share == pytest.approx(facts["recall"], abs=0.05), "measured anew"
    assert not {i for f in found for i, _ in f} & set(range(100))
    assert np.einsum("ij,ij->i", new.vectors(alive), x[alive]).min() > 0.99, "what was compressed twice is still itself"


def test_axes_are_as_many_as_the_energy_takes(tmp_path):
    rng = np.random.default_rng(0)
    low = unit(rng.standard_normal((2000, 20)) @ rng.standard_normal((20, 256)))
    for x, kept in ((low, 32), (low[:, :20], 20), (cloud(2000, 256, 1e9), 72), (cloud(2000, 256, 1), 16)):
        axes = vectors._principal_axes(x)
        assert len(axes) == kept
        assert axes @ axes.T == pytest.approx(np.eye(kept), abs=1e-5)
    ivf, _ = write(tmp_path / "v", "ivf", low)
    assert ivf.path.stat().st_size < 107 * len(low)  # 64 bytes and an id each, and the axes and means


@pytest.mark.parametrize("n", [1, 2, 50])
@pytest.mark.parametrize("same", [False, True])
def test_few_vectors_or_equal_ones_can_be_compressed_too(n, same, tmp_path):
    x = np.tile(cloud(1), (n, 1)) if same else cloud(n)
    ivf, _ = write(tmp_path / "v", "ivf", x)
    found = ivf.search(x[0], n, None, NONE)
    assert {i for i, _ in found} == set(range(n))
    assert found[0][1] == pytest.approx(1, abs=0.01)


def test_a_file_that_is_not_what_was_written_is_one_line(held, tmp_path):
    _, file = held
    digest, path = file_sha256(file.path), tmp_path / "v"
    whole = file.path.read_bytes()
    for changed in (whole[: len(whole) // 2], b"", whole + b"x", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(changed)
        with pytest.raises(EcgclipError, match="truncated or edited"):
            VectorFile.open(path, digest, 1, DIM)
    path.unlink()
    with pytest.raises(EcgclipError, match="missing"):
        VectorFile.open(path, digest, 1, DIM)
    for nprobe, dim in ((0, DIM), (1, DIM + 1)):
        with pytest.raises(EcgclipError, match="not a file of vectors"):
            VectorFile.open(file.path, digest, nprobe, dim)


def foreign():
    """What FAISS can read (but for the last), and is none of ours."""
    ip, l2 = faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2
    for make in (
        "Flat",
        "HNSW4",
        "IDMap2,Flat",
        "IDMap,SQfp16",
        "PCA16,IVF1,SQ8",
        "PCA16,Flat",
        "PCA32,PCA16,IVF1,SQ8",
    ):
        yield faiss.index_factory(DIM, make, l2 if "IVF" in make and make.count("PCA") == 1 else ip)
    yield faiss.index_factory(DIM, "IDMap2,SQfp16", l2)
    yield b"IxPT" + b"\xff" * 400


@pytest.mark.parametrize("made", foreign(), ids=lambda made: type(made).__name__)
def test_a_file_of_another_make_is_one_line(made, tmp_path):
    path = tmp_path / "v"
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        made.train(cloud(300))
        faiss.write_index(made, str(path))
    with pytest.raises(EcgclipError, match="not a file of vectors") as error:
        VectorFile.open(path, file_sha256(path), 1, DIM)
    assert "\n" not in str(error.value)
