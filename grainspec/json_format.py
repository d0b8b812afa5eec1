"""Specs as JSON documents, and the JSON Schema of these documents."""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json as json_value

from grainspec.checks.meaning import check_meaning
from grainspec.diagnostics import Diagnostic, GrainError
from grainspec.expect import expect_spec, expect_text
from grainspec.limits import MAX_SPEC_BYTES, MAX_SPEC_VALUES
from grainspec.model.spec import EditSpec
from grainspec.model.validation import JSON, MAX_FINDINGS, Written, details_of, findings_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_ID = "https://raw.githubusercontent.com/grainspec/grainspec/main/grammar/grain.schema.json"
MAX_DEPTH = 200
"""The deepest nesting of a document; each level of a region expression takes two of them."""
MAX_MEMBERS = 100_000
"""The most members of one list or object."""
_SHORT = 2 * MAX_MEMBERS
"""Characters of a document that cannot have too many members."""


def to_json(spec: EditSpec) -> str:
    """A spec as an indented JSON document; :func:`from_json` gives the same spec back.

    >>> from grainspec import parse
    >>> spec = parse('grain 1 video "c.mp4" target "a bear" region r = all edit r -> "bear"')
    >>> from_json(to_json(spec)) == spec
    True
    """
    spec = expect_spec(spec, "to_json")
    return spec.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n"


def from_json(text: str, *, path: str | None = None) -> EditSpec:
    """Read a spec from a JSON document; raises GrainError (G009, or errors found by the checks).

    >>> from_json('''{
    ...     "video": {"path": "c.mp4"},
    ...     "target": "a bear",
    ...     "regions": [{"name": "r", "expression": {"kind": "all"}}],
    ...     "edits": [{"verb": "edit", "region": "r", "phrase": "bear"}]
    ... }''').changes
    (Edit(region='r', phrase='bear'),)
    """
    text = expect_text(text, "from_json").removeprefix("\ufeff")
    if len(text) > MAX_SPEC_BYTES or text.count(",") > MAX_SPEC_VALUES:
        message = f"the document has more than {MAX_SPEC_VALUES:,} values, or is too large"
        raise GrainError([Diagnostic("G006", message, "Is this the spec?")], path=path)
    if _depth(text) > MAX_DEPTH:
        finding = Diagnostic("G004", f"the document is nested more than {MAX_DEPTH} levels deep")
        raise GrainError([finding], path=path)
    if len(text) > _SHORT and _members(text) > MAX_MEMBERS:
        message = f"a list or an object of the document has more than {MAX_MEMBERS:,} members"
        raise GrainError([Diagnostic("G009", message)], path=path)
    try:
        spec = EditSpec.model_validate_json(text, strict=True)
    except ValidationError as error:
        findings = []
        details = details_of(error)
        value = json_value(text) if any(detail["loc"] for detail in details) else None
        for detail, found in zip(
            details,
            findings_of(error, EditSpec, lambda _: Written(), what="the document", door=JSON),
            strict=True,
        ):
            place = _pointer(detail["loc"], value)
            message = f"{place}: {found.message}" if place else found.message
            findings.append(Diagnostic("G009", message, found.cure))
        more = error.error_count() - len(details)
        if more > 0 and len(details) == MAX_FINDINGS:
            findings.append(Diagnostic("G009", f"the document has {more:,} more mistakes"))
        raise GrainError(findings, path=path) from error
    findings = check_meaning(spec)
    if any(finding.is_error for finding in findings):
        raise GrainError(findings, path=path)
    return spec


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the documents, generated from the models."""
    schema = EditSpec.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": DIALECT, "$id": SCHEMA_ID, **_for_people(schema)}


def _for_people(schema: Any) -> Any:
    """Remove Python markup from the schema's descriptions, because editors show them."""
    if isinstance(schema, list):
        return [_for_people(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _plain(value)
        if key == "description" and isinstance(value, str)
        else _for_people(value)
        for key, value in schema.items()
    }


def _plain(docstring: str) -> str:
    """Remove examples and markup from a docstring; every paragraph becomes one line."""
    text = docstring.partition("\n\n>>>")[0]
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text).replace("``", "`")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def schema_text() -> str:
    """The content of ``grammar/grain.schema.json``."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def _pointer(place: tuple[int | str, ...], value: Any) -> str:
    """Convert the location of a Pydantic error to a JSON pointer; ``value`` is the document.

    Pydantic's locations also contain the kinds of records, which are not steps in the document.
    """
    steps = []
    for index, part in enumerate(place):
        if isinstance(value, dict) and part not in value and index < len(place) - 1:
            continue
        if isinstance(value, list) and isinstance(part, str):
            continue
        if isinstance(value, dict | list):
            steps.append(str(part).replace("~", "~0").replace("/", "~1"))
        if isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return "".join(f"/{step}" for step in steps)


def _members(text: str) -> int:
    """The number of members of the largest list or object; 0 if the text is not JSON."""
    try:
        waiting, most = [json_value(text)], 0
    except ValueError:
        return 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            most = max(most, len(value))
            members = value.values() if isinstance(value, dict) else value
            waiting += [member for member in members if isinstance(member, dict | list)]
    return most


def _depth(text: str) -> int:
    """The deepest nesting of brackets, without those in quotes."""
    depth = deepest = 0
    quoted = escaped = False
    for sign in text:
        if quoted:
            quoted = escaped or sign != '"'
            escaped = sign == "\\" and not escaped
        elif sign == '"':
            quoted = True
        elif sign in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "]}":
            depth -= 1
    return deepest
