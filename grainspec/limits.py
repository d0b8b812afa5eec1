"""How large untrusted files may be; SECURITY.md lists these limits and what they are for."""

from __future__ import annotations

MAX_SECONDS = 2
"""Seconds of a processor for one file that is no spec, until it is refused."""
MAX_SPEC_SECONDS = 20
"""Seconds of a processor for the largest spec; smaller ones take less in proportion."""
MAX_GROWTH = 1 << 30
"""Bytes by which memory grows for one file, until it is refused."""

MAX_SPEC_BYTES = 32_000_000
"""A spec's file; its text is limited further."""
MAX_SPEC_CHARACTERS = 2_000_000
"""A spec's text."""
MAX_SPEC_VALUES = 500_000
"""Values in a spec as JSON."""
MAX_JSON_BYTES = 1 << 26
"""A JSON file: annotations, or a file in a run's folder."""
MAX_JSON_NODES = 2_000_000
"""Objects and lists in a JSON file; each takes far more memory than its two characters."""
MAX_JSON_VALUES = 8_000_000
"""Values in a JSON file."""
MAX_PIXELS = 50_000_000
"""Pixels of one image, one frame or one mask; 8K video has 33 million."""
MAX_FILES = 200_000
"""Files in a folder of frames or masks, and names that a glob looks at in one folder."""
MAX_WALKED = 50_000
"""Names that a glob looks at in several folders, which takes far longer."""
MAX_POINTS = 20_000
"""Points of the polygons on one frame of an annotation file."""
MAX_RECORD_BYTES = 16_000_000
"""A JSON file in a run's folder; usual ones have some thousands."""
MAX_ARRAY_BYTES = 1 << 36
"""An array in an `.npy` file, which is read frame by frame."""
MAX_ARCHIVED_BYTES = 1 << 29
"""An array in an `.npz` archive, which is read as a whole."""
