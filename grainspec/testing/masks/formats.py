"""All formats of masks that the language reads, with every option."""

from __future__ import annotations

from collections.abc import Mapping

from grainspec.testing.masks.arrays import array_formats
from grainspec.testing.masks.coco import coco_formats
from grainspec.testing.masks.cvat import cvat_formats
from grainspec.testing.masks.images import image_formats
from grainspec.testing.masks.labelme_yolo import labelme_and_yolo_formats
from grainspec.testing.masks.numbering import number_formats
from grainspec.testing.masks.videos import video_formats
from grainspec.testing.masks.written import Writer

FORMATS: Mapping[str, Writer] = {
    **image_formats(),
    **number_formats(),
    **array_formats(),
    **video_formats(),
    **coco_formats(),
    **cvat_formats(),
    **labelme_and_yolo_formats(),
}
"""Writers of masks, by what they write."""
