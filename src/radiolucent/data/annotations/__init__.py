"""Doctors' readings from and to the formats they come in: one file a format, all into `Annotation` in source pixels."""

from radiolucent.data.annotations.coco import write_coco
from radiolucent.data.annotations.gather import Unmarked
from radiolucent.data.annotations.plain import write_csv
from radiolucent.data.annotations.read import FORMATS, read_annotations
from radiolucent.data.annotations.w3c import write_w3c

__all__ = ["FORMATS", "Unmarked", "read_annotations", "write_coco", "write_csv", "write_w3c"]
