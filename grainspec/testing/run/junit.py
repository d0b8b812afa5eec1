"""Results as JUnit XML, which services for continuous integration read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from grainspec.testing.run.file import FileResult

_NOT_IN_XML = {*range(0x20), 0x7F, 0xFFFE, 0xFFFF, *range(0xD800, 0xE000)} - {9, 10, 13}


@dataclass(frozen=True)
class Refused:
    """A file with mistakes, which has no plan to test, and its findings as text."""

    path: str
    findings: str


def junit_xml(results: Sequence[FileResult | Refused]) -> str:
    """A test suite for each file, with a test case for each invariant and variant.

    These names are the same for every seed and number of cases. A file with mistakes has a single
    test case with an error.

    >>> print(junit_xml([FileResult("edit.grain", 0, 21, [], ("pairs",), ("crop",), ("",), 1.5)]))
    <?xml version="1.0" encoding="utf-8"?>
    <testsuites name="grain test" tests="2" failures="0" errors="0" time="1.500">
      <testsuite name="edit.grain" tests="2" failures="0" errors="0" time="1.500">
        <properties>
          <property name="seed" value="0" />
          <property name="cases" value="21" />
        </properties>
        <testcase classname="edit.grain" name="pairs" />
        <testcase classname="edit.grain" name="regions: crop" />
      </testsuite>
    </testsuites>
    """
    root = ElementTree.Element("testsuites", name="grain test")
    for result in results:
        root.append(_refused(result) if isinstance(result, Refused) else _suite(result))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, 0)) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', 0)) for suite in root):.3f}")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}'


def _suite(result: FileResult) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=_plain(result.path))
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("seed", result.seed), ("cases", result.cases)):
        ElementTree.SubElement(properties, "property", name=name, value=str(value))
    failures = {
        (found.variant, found.of_regions, found.broken.invariant): found
        for found in result.failures
    }
    names = [(False, name) for name in result.invariants]
    names += [(True, name) for name in result.region_properties]
    names = [*dict.fromkeys([*names, *((kind, name) for _, kind, name in failures)])]
    for variant in result.tested:
        for of_regions, name in names:
            title = f"regions: {name}" if of_regions else name
            title = f"{title} [{variant}]" if variant else title
            case = ElementTree.SubElement(
                suite, "testcase", classname=_plain(result.path), name=title
            )
            if found := failures.get((variant, of_regions, name)):
                failure = ElementTree.SubElement(
                    case, "failure", type=name, message=_plain(str(found))
                )
                failure.text = _plain(found.explained())
    suite = _counted(suite, len(result.tested) * len(names), failures=len(failures))
    suite.set("time", f"{result.seconds:.3f}")
    return suite


def _refused(result: Refused) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=_plain(result.path))
    case = ElementTree.SubElement(
        suite, "testcase", classname=_plain(result.path), name="no mistakes"
    )
    error = ElementTree.SubElement(case, "error", message="the spec or its files have mistakes")
    error.text = _plain(result.findings)
    return _counted(suite, 1, errors=1)


def _counted(
    suite: ElementTree.Element, tests: int, failures: int = 0, errors: int = 0
) -> ElementTree.Element:
    for name, count in (("tests", tests), ("failures", failures), ("errors", errors)):
        suite.set(name, str(count))
    return suite


def _plain(text: str) -> str:
    """A text without the characters that XML cannot contain."""
    return "".join("\ufffd" if ord(sign) in _NOT_IN_XML else sign for sign in text)
