"""As much of the JSON API of Google Cloud Storage as gcsfs calls, with objects in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from faulty_store import Store, faulty_proxy, serving


@contextmanager
def faulty_gcs() -> Iterator[tuple[Store, dict[str, bytes]]]:
    """Start the server and a proxy that makes faults; also gives its objects, by `bucket/name`."""
    objects: dict[str, bytes] = {}
    with serving(_handler(objects)) as server:

        def moves(method: str, path: str) -> bool:
            return path.startswith(("/download/", "/upload/"))

        with faulty_proxy("127.0.0.1", server.server_port, moves) as store:
            yield store, objects


def _facts(key: str, data: bytes) -> dict[str, Any]:
    bucket, _, name = key.partition("/")
    digest = hashlib.sha256(data).hexdigest()
    return {"bucket": bucket, "name": name, "size": str(len(data)), "etag": digest}


def _handler(objects: dict[str, bytes]) -> type[BaseHTTPRequestHandler]:
    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            parts = url.path.strip("/").split("/")
            bucket = parts[parts.index("b") + 1]
            key = f"{bucket}/{unquote(parts[-1])}" if parts[-2] == "o" else ""
            if parts[0] == "upload":
                _, told, rest = body.split(b"\n\n", 2)
                name = json.loads(told.partition(b"\n--==0==")[0])["name"]
                objects[f"{bucket}/{name}"] = data = rest[: rest.rindex(b"\n--==0==--")]
                self.send(_facts(f"{bucket}/{name}", data))
            elif not key:
                self.send(self.listed(bucket, asked) if parts[-1] == "o" else {"name": bucket})
            elif key not in objects:
                self.send({"error": {"message": "No such object", "code": 404}}, 404)
            elif self.command == "DELETE":
                del objects[key]
                self.send({})
            elif asked.get("alt") == "media":
                self.send(objects[key])
            else:
                self.send(_facts(key, objects[key]))

        def listed(self, bucket: str, asked: dict[str, str]) -> dict[str, Any]:
            prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter")
            items, prefixes = [], set()
            for key, data in sorted(objects.items()):
                name = key.removeprefix(f"{bucket}/")
                if not key.startswith(f"{bucket}/{prefix}"):
                    continue
                folder, cut, _ = name[len(prefix) :].partition(delimiter or "\0")
                if cut:
                    prefixes.add(f"{prefix}{folder}{cut}")
                else:
                    items.append(_facts(key, data))
            return {"items": items, "prefixes": sorted(prefixes)}

        def send(self, value: Any, status: int = 200) -> None:
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do

        def log_message(self, *args: Any) -> None:
            pass

    return Server
