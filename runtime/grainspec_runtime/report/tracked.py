"""What a report says of tracked regions: their engine, and their doubtful frames."""

from __future__ import annotations

from typing import Any

from grainspec.regions.tracked.state import counted_frames


def tracked_rows(tracked: object) -> dict[str, str] | None:
    """A row for each tracked region of a manifest, and where its masks are; None without any."""
    if not isinstance(tracked, dict) or not isinstance(tracked.get("regions"), list):
        return None
    rows = {}
    for entry in tracked["regions"]:
        if isinstance(entry, dict) and isinstance(entry.get("regions"), list):
            rows[", ".join(map(str, entry["regions"]))] = _quality(entry)
    repaired = _frames(tracked.get("repaired"))
    rows |= {"repaired by hand": repaired} if repaired else {}
    return rows | {name: str(tracked.get(name)) for name in ("folder", "sha256")}


def _quality(entry: dict[str, Any]) -> str:
    parts = [_engine(entry.get("tracker"))]
    if entry.get("finder"):
        parts.append(f"found by {_engine(entry['finder'])}")
    for how in ("doubtful", "lost"):
        if frames := _frames(entry.get(how)):
            parts.append(f"{how} on {frames}")
    return ", ".join(parts)


def _engine(record: object) -> str:
    if not isinstance(record, dict):
        return ""
    weights = record.get("weights")
    return f"{record.get('name')}" + (f" ({weights})" if weights else "")


def _frames(values: object) -> str:
    if not isinstance(values, list):
        return ""
    frames = [value for value in values if isinstance(value, int)]
    return counted_frames(frames) if frames else ""
