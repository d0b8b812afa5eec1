"""Random changes of bytes and of JSON values; all of them depend on the generator alone."""

from __future__ import annotations

import json
import random
from typing import Any

ODD_NUMBERS: list[Any] = [
    *[0, -1, 1, 2, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 2**64, 10**30],
    *[-0.0, 0.1, 1e-300, 1e300, float("nan"), float("inf"), float("-inf"), True, False, None],
]
ODD_TEXTS = [
    *[
        "",
        " ",
        "\x00",
        "\x1b[2J",
        "\u202e",
        "\ud800",
        "../../../etc/passwd",
        "/dev/zero",
        "a" * 9999,
    ],
    *["%s%n", "{}", "NaN", "0x10", "1e999", "٣", "e\u0301", "<script>alert(1)</script>", "\\", '"'],
]


def changed_bytes(rng: random.Random, content: bytes, *, most: int = 8) -> bytes:
    """Overwrite, insert, cut, double or move a few stretches of bytes."""
    data = bytearray(content)
    for _ in range(rng.randint(1, most)):
        start = _position(rng, len(data))
        end = min(len(data), start + int(rng.paretovariate(0.8)))
        change = rng.randrange(7)
        if change == 0:
            data[start:end] = rng.randbytes(end - start)
        elif change == 1:
            data[start:start] = rng.randbytes(rng.randint(1, 9))
        elif change == 2:
            del data[start:end]
        elif change == 3:
            data[start:start] = data[start:end]
        elif change == 4 and data:
            data[start % len(data)] ^= 1 << rng.randrange(8)
        elif change == 5:
            size = rng.choice([1, 2, 4, 8])
            value = rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 255, 65535])
            order = rng.choice(["little", "big"])
            data[start : start + size] = (value % 256**size).to_bytes(size, order)  # type: ignore[arg-type]
        elif rng.random() < 0.2:
            del data[start:]
    return bytes(data)


def _position(rng: random.Random, length: int) -> int:
    """Somewhere, often in the head, where sizes stand."""
    return rng.randint(0, min(length, 200) if rng.random() < 0.5 else length)


def changed_json(rng: random.Random, text: str, *, most: int = 4) -> str:
    """Change a few values, keys or branches of a document; sometimes its bytes too."""
    value = json.loads(text)
    for _ in range(rng.randint(1, most)):
        value = _changed_value(rng, value)
    changed = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    if rng.random() < 0.2:
        return changed_bytes(rng, changed.encode("utf-8", "replace"), most=3).decode(
            "utf-8", "replace"
        )
    return changed


def _changed_value(rng: random.Random, value: Any) -> Any:
    places = _places(value)
    if not places or rng.random() < 0.03:
        return _odd(rng, value)
    parent, key = rng.choice(places)
    change = rng.randrange(5)
    if change == 0:
        del parent[key]
    elif change == 1 and isinstance(parent, dict):
        parent[rng.choice(ODD_TEXTS + list(parent))] = parent[key]
    elif change == 2 and isinstance(parent, list):
        parent[key:key] = [parent[key]] * rng.choice([1, 2, 100])
    elif change == 3:
        other, at = rng.choice(places)
        with_other = json.loads(json.dumps(other[at])) if _has(other, at) else None
        parent[key] = with_other
    else:
        parent[key] = _odd(rng, parent[key])
    return value


def _has(parent: Any, key: Any) -> bool:
    return key in parent if isinstance(parent, dict) else key < len(parent)


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [value] if isinstance(value, dict | list) else []
    while waiting and len(found) < 5000:
        current = waiting.pop()
        for key in list(current) if isinstance(current, dict) else range(len(current)):
            found.append((current, key))
            if isinstance(current[key], dict | list):
                waiting.append(current[key])
    return found


def _odd(rng: random.Random, value: Any) -> Any:
    if isinstance(value, int | float) and rng.random() < 0.7:
        return rng.choice([*ODD_NUMBERS, value + 1, -value, value * 1000])
    if isinstance(value, str) and rng.random() < 0.7:
        return rng.choice([*ODD_TEXTS, value * 2, value[: len(value) // 2], value + "\x00"])
    deep: Any = []
    for _ in range(rng.choice([1, 60, 300])):
        deep = [deep]
    return rng.choice([*ODD_NUMBERS, *ODD_TEXTS, [], {}, [value], {"kind": value}, deep])
