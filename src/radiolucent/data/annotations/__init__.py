"""Doctors' readings from and to the formats they come in: one file a format, all into `Annotation` in source pixels."""

from radiolucent.data.annotations.coco import write_coco
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.formats import FORMATS, formats_table
from radiolucent.data.annotations.gather import Unmarked
from radiolucent.data.annotations.plain import write_csv
from radiolucent.data.annotations.read import read_annotations
from radiolucent.data.annotations.w3c import write_w3c

__all__ = [
    "FORMATS",
    "Format",
    "Unmarked",
    "formats_table",
    "read_annotations",
    "write_coco",
    "write_csv",
    "write_w3c",
]
