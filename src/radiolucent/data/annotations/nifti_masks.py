"""NIfTI masks of single films, named like them."""

import io

import numpy as np

from radiolucent.data.annotations.check import MOST_PIXELS
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer
from radiolucent.data.annotations.names import stem
from radiolucent.data.annotations.source import Source
from radiolucent.errors import AnnotationError, ImageError
from radiolucent.images import ReadOptions, inflated, nifti_values
from radiolucent.types import Region

__all__ = ["FORMAT"]


def _read(source: Source, g: Gatherer) -> None:
    image = stem(source.path.name)
    with g.entry(f"image {image}", image, g.options.reader):
        content = source.data
        if content.startswith(b"\x1f\x8b"):
            content, beyond = inflated(io.BytesIO(content), 8 * MOST_PIXELS, wbits=31)
            if beyond:
                raise AnnotationError(f"unpacks to more than a mask of {MOST_PIXELS:,} pixels needs")
        steps, notes = list[str](), list[str]()
        try:
            values, _ = nifti_values(io.BytesIO(content), source.path, ReadOptions(), steps, notes)
        except ImageError as error:
            raise AnnotationError(str(error).removeprefix(f"{source.path}: ")) from error
        for note in notes:
            g.note(note)
        levels = np.unique(values)
        if len(levels) > 2 or levels[0] != 0:
            raise AnnotationError(
                f"{len(levels)} values from {levels[0]:g}; expected 0 and one other: a file a finding"
            )
        shape = (values.shape[0], values.shape[1])
        if len(levels) == 2:
            g.mark(image, [Region.mask(np.ascontiguousarray(values != 0))], reader=g.options.reader, shape=shape)
        else:
            g.state(image, finding=False, reader=g.options.reader, shape=shape)


FORMAT = Format(
    "nifti",
    "NIfTI masks",
    "nifti",
    "`[READER/]NAME.nii` or `.nii.gz` of one film",
    "turned upright as films of the same header are; 0 and one other value; all 0: no finding",
    lambda source: source.kind == "nifti",
    _read,
    empty_means="no finding",
)
