"""Who may ask the server, and how much and how slowly may be sent; by a stub of the application."""

import socket
import time

import httpx
import pytest

pytest.importorskip("uvicorn")
from serving import stub_server, talk  # noqa: E402

from ecgclip.serve.guard import CSP, Guard  # noqa: E402
from ecgclip.serve.limits import Limits  # noqa: E402
from ecgclip.serve.run import address, is_loopback  # noqa: E402

LIMITS = Limits(max_mb=1, header_s=0.5, body_s=0.6, answer_s=1, connections=8)
HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
BIG = b"x" * (32 << 20)


async def count_bytes(scope, receive, send):
    """Answers how long the body was; at /big with a body that no buffer takes at once."""
    size, more = 0, scope["method"] == "POST"
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = BIG if scope["path"] == "/big" else str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
def port():
    with stub_server(Guard(count_bytes, LIMITS, HOSTS, ""), LIMITS) as port:
        yield port


@pytest.fixture(scope="module")
def client(port):
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        yield client


def post(client, content=b"1234", **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/api/classify", content=content, headers={**FORM, **headers})


# --- who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "localhost:{}", "localhost", "[::1]:{}", "LOCALHOST:{}"])
def test_the_server_answers_at_its_own_address(client, port, host):
    assert client.get("/", headers={"Host": host.format(port)}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "a@[b"])
def test_a_name_that_was_made_to_lead_here_is_refused(client, host):
    assert client.get("/", headers={"Host": host}).status_code == 403


def test_a_page_of_another_site_may_not_ask(client, port):
    for foreign in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://127.0.0.1:{port + 1}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        answer = post(client, **foreign)
        assert (answer.status_code, list(answer.json())) == (403, ["error"]), foreign


def test_the_own_page_and_programs_may_ask(client, port):
    for own in ({}, {"Origin": f"http://127.0.0.1:{port}"}, {"Sec_Fetch_Site": "same-origin"}):
        assert post(client, **own).text == "4"


def test_every_answer_has_the_headers_of_safety(client):
    for answer in (client.get("/"), client.get("/", headers={"Host": "evil.example"}), post(client, b"x" * (2 << 20))):
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert post(client).headers["cache-control"] == "no-store"


def test_beyond_this_machine_a_token_is_asked_for():
    guard = Guard(count_bytes, LIMITS, frozenset(), "secret")
    with stub_server(guard, LIMITS) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        assert client.get("/").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        assert client.get("/", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/", headers={"Authorization": "Bearer secret"}).status_code == 200
        answer = client.get("/?token=secret")
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert "SameSite=strict" in answer.headers["set-cookie"]
        assert client.get("/").status_code == 200  # by the cookie
        assert post(client, Origin="http://evil.example").status_code == 403


def test_only_the_loopback_needs_no_token():
    assert all(map(is_loopback, ("127.0.0.1", "127.0.0.2", "localhost", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.5", "ecg.example.org")))
    assert address("::1", 80, "") == "http://[::1]:80/"
    assert address("10.0.0.1", 80, "t") == "http://10.0.0.1:80/?token=t"


# --- what -------------------------------------------------------------------------------------------------------------


def test_what_is_larger_than_allowed_is_refused_and_the_client_hears_it(client):
    assert post(client, b"x" * (1 << 20)).text == str(1 << 20)
    assert post(client, b"x" * (1 << 20) + b"x").status_code == 413
    assert post(client, iter([b"x" * (1 << 19)] * 3)).status_code == 413  # of no announced length


def test_an_announced_flood_is_refused_before_it_comes(port):
    head = b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\n"
    assert talk(port, head + b"Content-Length: 99999999999\r\n\r\n").startswith(b"HTTP/1.1 413")


def test_only_forms_are_taken(client):
    assert client.post("/api/classify", json={}).status_code == 400
    assert client.post("/api/classify", data={"a": "b"}).text == "3"


def test_a_body_that_comes_slowly_is_cut_off(port):
    head = b"POST /api/x HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data\r\nContent-Length: 99\r\n\r\n"
    start = time.monotonic()
    answer = talk(port, head, *[b"x"] * 8, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - start < 4


@pytest.mark.parametrize("parts", [[], [b"GET / HT"], [b"GET / HTTP/1.1\r\n", *[b"a: b\r\n"] * 8]])
def test_headers_that_come_slowly_are_cut_off(port, parts):
    start = time.monotonic()
    answer = talk(port, *parts, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"nosniff" in answer
    assert time.monotonic() - start < 4


def test_after_an_answer_the_next_headers_are_in_time_too(port):
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = talk(port, request, request[:10], b"", b"", b"", pause=0.3)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1 408") == 1


@pytest.mark.parametrize("request_", [b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 200_000, b"\x16\x03\x01 no HTTP\r\n\r\n"])
def test_endless_headers_and_other_protocols_are_refused_in_json(port, request_):
    answer = talk(port, request_)
    assert answer.startswith((b"HTTP/1.1 400", b""))
    assert not answer or answer.endswith(b'"}')


def test_who_takes_no_answer_is_cut_off(port):
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(2.5)
        received = 0
        try:
            while part := connection.recv(1 << 20):
                received += len(part)
        except ConnectionResetError:
            pass
    assert received < len(BIG)
    assert time.monotonic() - start < 6


def test_connections_are_limited(port):
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(LIMITS.connections)]
    assert talk(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
    for connection in idle:
        connection.close()
    time.sleep(0.3)
    assert b"200" in talk(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
