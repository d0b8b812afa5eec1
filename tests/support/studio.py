"""A studio without a network: its application, called as the browser's page would."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.testclient import TestClient, WebSocketTestSession

from grainspec_runtime.studio.app import studio_app
from grainspec_runtime.studio.studio import Studio

EXAMPLES = Path(__file__).parents[2] / "examples"
ADDRESS = "http://127.0.0.1:7860"
COOKIE = "grain_studio"


class Page:
    """The page of a studio: a client with its cookie and its origin."""

    def __init__(self, studio: Studio, client: TestClient) -> None:
        self.studio, self.client = studio, client
        self.folder = studio.readable.folder

    @property
    def text(self) -> str:
        """The saved text of the spec."""
        return self.get("spec")["text"]

    def get(self, path: str, status: int = 200) -> Any:
        return self.asked("GET", path, status=status)

    def post(self, path: str, status: int = 200, /, **fields: Any) -> Any:
        return self.asked("POST", path, status=status, json=fields)

    def asked(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        answer = self.client.request(method, f"/api/{path}", **more)
        assert answer.status_code == status, answer.text
        if answer.headers["content-type"] == "application/json":
            return answer.json()
        return answer.content

    def socket(self, path: str, **headers: str) -> WebSocketTestSession:
        """A WebSocket, to be opened by `with`."""
        address = ADDRESS.replace("http", "ws")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.websocket_connect(f"{address}/api/{path}", headers=named)

    @contextmanager
    def without(self, header: str) -> Iterator[None]:
        """Send no such header inside the block."""
        value = self.client.headers.pop(header)
        try:
            yield
        finally:
            self.client.headers[header] = value
            self.client.cookies.clear()

    def ended(self, job: str, seconds: float = 100) -> dict[str, Any]:
        """Wait until a job has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            now = self.get(f"jobs/{job}")
            if now["state"] in ("done", "failed", "cancelled"):
                return now
            time.sleep(0.05)
        raise AssertionError(now)

    def reached(self, job: str, stage: str, done: int, seconds: float = 100) -> dict[str, Any]:
        """Wait until a job has done so many steps of a stage."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            now = self.get(f"jobs/{job}")
            if now["stage"] == stage and now["done"] >= done:
                return now
            assert now["state"] in ("waiting", "running"), now
            time.sleep(0.02)
        raise AssertionError(now)


@contextmanager
def opened(folder: Path, spec: str | None, also: tuple[Path, ...] = ()) -> Iterator[Page]:
    """A studio with a spec of a folder open, and its page."""
    studio = Studio(folder, folder / spec if spec else None, also)
    client = TestClient(
        studio_app(studio, cookie=COOKIE),
        base_url=ADDRESS,
        headers={
            "cookie": f"{COOKIE}={studio.tokens.token}",
            "origin": ADDRESS,
            "sec-fetch-site": "same-origin",
        },
        raise_server_exceptions=False,
    )
    with client:
        yield Page(studio, client)


def copied_examples(folder: Path) -> Path:
    """A copy of two examples and of what they need."""
    (folder / "masks").mkdir(parents=True)
    (folder / "clips").mkdir()
    for clip in ("two_men", "three_walkers"):
        shutil.copy(EXAMPLES / "clips" / f"{clip}.mp4", folder / "clips")
    for masks in ("two_men", "tracked"):
        shutil.copytree(EXAMPLES / "masks" / masks, folder / "masks" / masks)
    for spec in ("instance", "tracked"):
        shutil.copy(EXAMPLES / f"{spec}.grain", folder)
    return folder


def left_man_spec(steps: int) -> str:
    """A short edit of one of two men, in two small frames."""
    return f"""grain 1
video "clips/two_men.mp4" {{ frames 0..1 size 64x64 }}
source "a red man and a blue man on grass before green trees"
target "a green robot and a blue man on grass before green trees"
region left = masks("masks/two_men/left")
edit instance left -> "green robot"
sampler ddim {{ steps {steps} guidance 4 }}
"""


def mask_png(size: tuple[int, int] = (192, 192), value: int = 255) -> str:
    """A mask as the page sends it: a grey PNG in base64."""
    file = BytesIO()
    Image.new("L", size, value).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def listing(folder: Path) -> dict[str, bytes]:
    """The files below a folder, with their content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
