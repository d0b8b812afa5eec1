"""Who may speak to the studio."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")

from starlette.websockets import WebSocketDisconnect
from studio import COOKIE, Page, copied_examples, opened

from grainspec_runtime.studio import guard as module
from grainspec_runtime.studio import routes
from grainspec_runtime.studio.guard import Tokens

GETS = ["spec", "clip", "clips", "clip/frames/0", "jobs", "runs", "masks/k/left/0"]
WRITES = [
    ("PUT", "spec"),
    ("POST", "jobs"),
    ("POST", "new"),
    ("POST", "masks"),
    ("DELETE", "jobs/x"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with opened(copied_examples(tmp_path_factory.mktemp("studio")), "tracked.grain") as page:
        yield page


@pytest.mark.parametrize("path", ["/", "/studio.js", *(f"/api/{name}" for name in GETS)])
@pytest.mark.parametrize("cookie", [None, "", "wrong", "é", "x" * 20_000])
def test_without_the_token_nothing_is_answered(page: Page, path: str, cookie: str | None) -> None:
    headers = {} if cookie is None else {"cookie": f"{COOKIE}={cookie}".encode()}
    with page.without("cookie"):
        answer = page.client.get(path, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "G721")


def test_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[Any] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return one == other

    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    tokens = Tokens()
    assert not tokens.accepts(tokens.token[:-1])
    assert not tokens.accepts(None)
    assert tokens.accepts(tokens.token)
    assert len(compared) == 3
    assert tokens.token not in repr(tokens)
    assert len(tokens.token) >= 43


def test_two_cookies_of_the_name_are_none(page: Page) -> None:
    token = page.studio.tokens.token
    answer = page.client.get("/api/spec", headers={"cookie": f"{COOKIE}=x; {COOKIE}={token}"})
    assert answer.status_code == 401


def test_the_address_with_the_token_sets_a_strict_cookie(page: Page) -> None:
    with page.without("cookie"):
        answer = page.client.get("/", params={"token": page.studio.tokens.token})
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}={page.studio.tokens.token};")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {*cookie.split("; ")}
    assert page.studio.tokens.token not in answer.text
    assert 'content="0; url=/"' in answer.text
    for wrong in ("", "x", "é", page.studio.tokens.token[1:]):
        with page.without("cookie"):
            assert page.client.get("/", params={"token": wrong}).status_code == 401


def test_the_token_of_the_browsers_command_works_once() -> None:
    tokens = Tokens()
    once = tokens.once
    assert tokens.enters(once)
    assert not tokens.enters(once)
    assert not tokens.enters("")
    assert not tokens.accepts(once)
    assert tokens.enters(tokens.token)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("127.0.0.1@evil.example", "0.0.0.0:7860", "[::1]:7860", "127.0.0.1:x", "127.0.0.1:", ""),
    ],
)
def test_other_hosts_are_refused(page: Page, host: str) -> None:
    headers = {"host": host, "origin": f"http://{host}"}
    for path in ("/", "/api/spec"):
        answer = page.client.get(path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "G722")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST:9000", "localhost"]
)
def test_this_machine_is_served_also_through_a_forwarded_port(page: Page, host: str) -> None:
    headers = {"host": host, "origin": f"http://{host.lower()}"}
    assert page.client.get("/api/spec", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "null", "http://127.0.0.1:8080", "https://127.0.0.1:7860"),
        *("http://localhost:7860", "http://127.0.0.1:7860.evil.example", ""),
    ],
)
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_other_origins_change_nothing(page: Page, method: str, path: str, origin: str) -> None:
    answer = page.client.request(method, f"/api/{path}", headers={"origin": origin}, json={})
    assert (answer.status_code, answer.json()["code"]) == (403, "G722")


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_without_an_origin_nothing_is_changed(page: Page, method: str, path: str) -> None:
    with page.without("origin"):
        answer = page.client.request(method, f"/api/{path}", json={})
    assert answer.status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_embed_nothing(page: Page, site: str) -> None:
    with page.without("origin"):
        answer = page.client.get("/api/clip/frames/0", headers={"sec-fetch-site": site})
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["events", "language"])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:7860"},
        {"host": "evil.example", "origin": "http://evil.example"},
        {"cookie": f"{COOKIE}=wrong"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_other_sites_open_no_socket(page: Page, path: str, headers: dict[str, str]) -> None:
    socket = page.socket(path, **headers)
    with pytest.raises(WebSocketDisconnect) as refused, socket:
        pass
    assert refused.value.code == 1008


def test_sockets_are_bounded(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_SOCKETS", 1)
    with page.socket("events"):
        another = page.socket("events")
        with pytest.raises(WebSocketDisconnect), another:
            pass
    with page.socket("events"):
        pass


def test_every_response_forbids_what_the_page_does_not_need(page: Page) -> None:
    for path in ("/", "/api/spec", "/api/clip/frames/0", "/api/none", "/api/jobs/none"):
        headers = page.client.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers


def test_the_page_has_a_new_nonce_each_time(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from grainspec_runtime.studio import page as built

    monkeypatch.setattr(built, "_content", lambda name: b'<meta content="{{nonce}}">')
    nonces = set()
    for _ in range(2):
        answer = page.client.get("/")
        nonce = answer.text.split('"')[1]
        policy = answer.headers["content-security-policy"]
        assert f"style-src 'self' 'nonce-{nonce}'" in policy
        assert "script-src 'self';" in policy
        assert "ws://127.0.0.1:7860" in policy
        nonces.add(nonce)
    assert len(nonces) == 2


def test_files_of_the_page_are_those_of_a_list(page: Page) -> None:
    for path in (
        "/app.py",
        "/../app.py",
        "/%2e%2e/app.py",
        "/__init__.py",
        "/page/",
        "//etc/passwd",
    ):
        assert page.client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["clip", "runs/x"])
@pytest.mark.parametrize("number", ["9" * 10, "9" * 5000, "-1", "٣"])
def test_numbers_of_frames_are_bounded(page: Page, path: str, number: str) -> None:
    answer = page.client.get(f"/api/{path}/frames/{number}")
    assert (answer.status_code, answer.json()["code"]) == (404, "G727")


def test_the_token_is_in_no_log(
    page: Page, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level(0):
        page.client.get("/", params={"token": page.studio.tokens.token})
        page.client.get("/api/none")
    of_ours = [record for record in caplog.records if not record.name.startswith("http")]
    assert page.studio.tokens.token not in "".join(map(str, of_ours))
