"""Pixels in and out: reading by content, DICOM, preprocessing with its exact inverse geometry, regions to masks."""

from radiolucent.images.budget import MAX_PIXELS, inflated, unusual
from radiolucent.images.convert import as_film, as_films
from radiolucent.images.options import ReadOptions, read_with, reading
from radiolucent.images.preprocess import Preprocess, coverage_to_model, map_to_source, mask_to_model, viewed_area
from radiolucent.images.raster import from_array
from radiolucent.images.read import header_patient, read, read_or_note
from radiolucent.images.regions import region_mask
from radiolucent.images.upright import laid
from radiolucent.images.volumes import nifti_values

__all__ = [
    "MAX_PIXELS",
    "Preprocess",
    "ReadOptions",
    "as_film",
    "as_films",
    "coverage_to_model",
    "from_array",
    "header_patient",
    "inflated",
    "laid",
    "map_to_source",
    "mask_to_model",
    "nifti_values",
    "read",
    "read_or_note",
    "read_with",
    "reading",
    "region_mask",
    "unusual",
    "viewed_area",
]
