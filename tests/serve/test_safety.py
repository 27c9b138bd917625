"""Strangers' requests over HTTP: whatever they send, the answer is clean, the server goes on, and nothing is left."""

import io
import os
import signal
import subprocess
import time

import numpy as np
import pytest

pytest.importorskip("fastapi")
from serving import RECORDS, ROOT, serving  # noqa: E402

from ecgclip.index import ECGIndex  # noqa: E402
from ecgclip.io import write_ecg  # noqa: E402
from ecgclip.simulate import simulate  # noqa: E402

AF = ("af.hea", "af.dat")


@pytest.fixture(scope="module")
def index(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("secret-index")
    ECGIndex.build([RECORDS / "af.hea"], folder / "cases", model=tiny_model, workers=1)
    return folder / "cases"


@pytest.fixture(scope="module")
def server(tiny_model, index, tmp_path_factory):
    temporary = tmp_path_factory.mktemp("temporary")
    with serving(tiny_model, temporary, index, workers=1, time_s=4, memory_mb=800, max_mb=8) as server:
        yield server
    assert os.listdir(temporary) == []


def clean(server, answer, *statuses):
    """Whether an answer has one of these statuses and tells nothing of the server's disk."""
    told = [str(path) for path in (server.temporary, ROOT, RECORDS) if str(path) in answer.text]
    return answer.status_code in statuses and not told and "Traceback" not in answer.text


def goes_on(server):
    assert server.post("classify", *AF, labels="AF").status_code == 200


def of_format(tmp_path, to):
    """A good file."""
    path = write_ecg(simulate("af", seed=1), tmp_path / "af", to)
    with open(path, "rb") as file:
        return file.read()


@pytest.mark.parametrize("to", ["edf", "csv", "npz", "dicom", "wfdb"])
def test_damaged_files_are_refused_in_one_line(server, tmp_path, to):
    content, rng = of_format(tmp_path, to), np.random.default_rng(0)
    for _ in range(12):
        damaged = bytearray(content[: rng.integers(1, len(content))] if rng.random() < 0.3 else content)
        for at in rng.integers(0, min(len(damaged), 600), 8):
            damaged[at] = rng.integers(256)
        answer = server.sent(bytes(damaged), f"af.{'hea' if to == 'wfdb' else to}")
        assert clean(server, answer, 200, 400, 422), answer.text
    goes_on(server)


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "..\\..\\x.hea", "a\0.hea", "-", "%2e%2e%2fx", ""]
)
def test_names_are_never_opened(server, name):
    answer = server.sent(b"root:x:0:0", name)
    assert clean(server, answer, 400, 422), answer.text
    assert "no such file" not in answer.text


def test_a_header_cannot_name_a_file_of_the_server(server):
    header = (RECORDS / "af.hea").read_text()
    for path in (RECORDS / "af.dat", "../../af.dat", "/etc/passwd"):
        answer = server.sent(header.replace("af.dat", str(path)).encode(), "af.hea")
        assert clean(server, answer, 422) or str(path) in answer.text  # which the client has said itself
        assert answer.status_code == 422


def test_what_unpacks_to_too_much_is_refused(server):
    bomb = io.BytesIO()
    np.savez_compressed(bomb, signal=np.zeros((12, 20_000_000), np.float32), sampling_rate=500)
    assert len(bomb.getvalue()) < 4 << 20
    answer = server.sent(bomb.getvalue(), "bomb.npz")
    assert clean(server, answer, 422), answer.text
    goes_on(server)


def test_what_takes_too_long_is_refused(server, tmp_path):
    long = simulate("pvc", seed=1, seconds=3600, sampling_rate=100)
    content = io.BytesIO()
    np.savez_compressed(content, signal=(1000 * long.signal[:2]).astype(np.int16), sampling_rate=100)
    answer = server.sent(content.getvalue(), "long.npz", unit="uV", leads="I,II")
    assert clean(server, answer, 200, 422), answer.text
    goes_on(server)


def test_too_many_files_fields_and_letters_are_refused(server):
    many = [("files", (f"{i}.csv", b"1,2")) for i in range(33)]
    assert clean(server, server.client.post("/api/classify", files=many), 400)
    assert clean(server, server.client.post("/api/classify", data={str(i): "x" for i in range(99)}), 400)
    assert clean(server, server.client.post("/api/classify", files=[("labels", (None, "x" * 200_000))]), 400)
    twice = [("files", ("a/af.csv", b"1")), ("files", ("b/af.csv", b"1"))]
    assert "two files are called af.csv" in server.client.post("/api/classify", files=twice).json()["error"]


@pytest.mark.parametrize(
    "content", [b"", b"--x", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--"]
)
def test_broken_forms_are_refused(server, content):
    answer = server.client.post(
        "/api/classify", content=content, headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert clean(server, answer, 400), answer.text
    answer = server.client.post("/api/classify", content=content, headers={"Content-Type": "multipart/form-data"})
    assert clean(server, answer, 400), answer.text


def test_a_worker_that_is_killed_is_replaced(server):
    before = workers(server)
    assert before
    for worker in before:
        os.kill(worker, signal.SIGKILL)
    time.sleep(0.5)
    goes_on(server)
    assert not set(before) & set(workers(server))


def workers(server):
    """The processes that read strangers' files: those below the one from which they are forked."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    below, found = {str(server.process.pid)}, []
    for _ in range(2):
        found = [int(pid) for pid, parent, _ in rows if parent in below]
        below = {str(pid) for pid in found}
    return found


def test_ctrl_c_ends_the_server_and_its_processes(tiny_model, tmp_path):
    with serving(tiny_model, tmp_path, workers=2) as server:
        goes_on(server)
        running = workers(server)
        start = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        server.process.wait(30)
        assert time.monotonic() - start < 10  # a second, where nothing else runs
        time.sleep(0.5)
        assert not [pid for pid in running if os.path.exists(f"/proc/{pid}")]
    assert os.listdir(tmp_path) == []
