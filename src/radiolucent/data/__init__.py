"""Data sets: manifests, folders, downloads, splits, checks, the pixel cache, augmentation, annotations, phantoms."""

from radiolucent.data.annotations import FORMATS, read_annotations, write_coco, write_csv, write_w3c
from radiolucent.data.augment import Augment
from radiolucent.data.cache import PixelCache, build_cache
from radiolucent.data.checks import check
from radiolucent.data.folder import find_films, load_dataset
from radiolucent.data.loader import Loader
from radiolucent.data.manifest import write_manifest
from radiolucent.data.multilabel import LabelOptions, of_label
from radiolucent.data.records import Dataset, LeftOut, Record
from radiolucent.data.split import split_dataset

__all__ = [
    "FORMATS",
    "Augment",
    "Dataset",
    "LabelOptions",
    "LeftOut",
    "Loader",
    "PixelCache",
    "Record",
    "build_cache",
    "check",
    "find_films",
    "load_dataset",
    "of_label",
    "read_annotations",
    "split_dataset",
    "write_coco",
    "write_csv",
    "write_manifest",
    "write_w3c",
]
