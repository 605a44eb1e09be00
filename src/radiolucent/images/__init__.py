"""Pixels in and out: reading by content, DICOM, preprocessing with its exact inverse geometry, regions to masks."""

from radiolucent.images.convert import as_film, as_films
from radiolucent.images.preprocess import Preprocess, coverage_to_model, map_to_source, mask_to_model, viewed_area
from radiolucent.images.raster import from_array
from radiolucent.images.read import read, read_or_note
from radiolucent.images.regions import region_mask

__all__ = [
    "Preprocess",
    "as_film",
    "as_films",
    "coverage_to_model",
    "from_array",
    "map_to_source",
    "mask_to_model",
    "read",
    "read_or_note",
    "region_mask",
    "viewed_area",
]
