"""Mask files that are drawn and read back: in every format, and with everything that is doubtful.

``check.py`` has :func:`check_masks`, ``formats.py`` the table of what it writes. The modules beside
them write one kind of file each. They are a second reading of the formats, and share no code with
``grainspec/regions``. ``doubts/`` has :func:`check_mask_findings`.
"""

from grainspec.testing.masks.check import check_masks
from grainspec.testing.masks.doubts.check import check_mask_findings
from grainspec.testing.masks.doubts.table import CASES
from grainspec.testing.masks.formats import FORMATS

__all__ = ["CASES", "FORMATS", "check_mask_findings", "check_masks"]
