"""Test the plans of spec files, and of random changes of them: ``grain test``, ``check_file``.

file.py          the files: every spec and variant, each with its cases
cases.py         one case: a spec and a backbone, compiled and checked
regions.py       the regions of a spec and of its changes; masks are read once
stand_in.py      the backbone where none is given
changes.py       random changes of a spec and of the backbone
shrink.py        the smallest spec that still fails
junit.py         results as JUnit XML
"""

from grainspec.testing.run.file import Failure, FileResult, check_file, try_file

__all__ = ["Failure", "FileResult", "check_file", "try_file"]
