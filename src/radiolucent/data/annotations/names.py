"""Images as files of readings name them: separators, leading dots, and what tools put before the name."""

import re

__all__ = ["KINDS", "LAYOUT", "clean_name", "names_masks", "parts_of", "stem", "without_upload"]

KINDS = frozenset(
    ("annotations", "annotation", "ann", "labels", "label", "masks", "mask", "manualmask", "images", "image", "img",
     "imgs", "jpegimages", "films", "json", "xml", "segmentations")
)  # fmt: skip
"""Folders called by what lies in them: a film's and its reading's differ in these alone."""
LAYOUT = KINDS | frozenset(
    ("train", "val", "valid", "validation", "test", "data", "dataset", "upload", "uploads",
     "obj_train_data", "main_data", "unknown", "voc2007", "voc2012")
)  # fmt: skip
"""Folders that belong to a layout, in lower case: no reader's name, and no sign of which film is meant."""
_MASKS_OF = re.compile(r".+masks?", re.IGNORECASE)
_SUFFIX = re.compile(r"\.(jpe?g|png|bmp|tiff?|gif|webp|jp2|dcm|dicom|dic|nii(\.gz)?|nrrd|mha|npy)$", re.IGNORECASE)
# Label Studio puts eight hexadecimal digits before an upload; Roboflow the old suffix and a hash behind it.
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)", re.IGNORECASE)
_DIGITS = re.compile(r"^[0-9]{8}-")  # a date or a number, unless the file is known to be an upload
_ROBOFLOW = re.compile(r"_(?:jpe?g|png|bmp|tiff?)\.rf\.[0-9A-Za-z]{8,}(?=\.|$)", re.IGNORECASE)


def names_masks(folder: str) -> bool:
    """Whether a folder is called by what the masks in it are of: that is their label, and no reader.

    >>> names_masks("lung masks"), names_masks("leftMask"), names_masks("masks"), names_masks("Dr A")
    (True, True, False, False)
    """
    return bool(_MASKS_OF.fullmatch(folder)) and folder.lower() not in LAYOUT


def clean_name(name: str) -> str:
    r"""A name with forward slashes, without blanks around it and without steps up or in place.

    >>> clean_name(" ..\\films\\.\\a.png")
    'films/a.png'
    """
    parts = name.strip().replace("\\", "/").split("/")
    kept = [p for i, p in enumerate(parts) if p not in (".", "..") and (p or i == 0)]
    return "/".join(kept)


def parts_of(name: str) -> tuple[str, ...]:
    """The folders and the file of a name, from the top."""
    return tuple(p for p in clean_name(name).split("/") if p)


def stem(file: str) -> str:
    """A file's name without the suffix of an image; any other dot is part of the name.

    >>> stem("a.PNG"), stem("1.2.840.1"), stem("scan.v2")
    ('a', '1.2.840.1', 'scan.v2')
    """
    return _SUFFIX.sub("", file)


def without_upload(file: str, *, known: bool = False) -> str:
    """A file's name without what an upload to an annotation tool added.

    Args:
        known: the file is an upload to Label Studio; else eight digits before a hyphen stay, as they may be a date.

    >>> without_upload("0a1b2c3d-film.png"), without_upload("film_png.rf.0a1b2c3d4e5f.jpg")
    ('film.png', 'film.jpg')
    >>> without_upload("20240101-001.png"), without_upload("12345678-001.png", known=True)
    ('20240101-001.png', '001.png')
    """
    return _ROBOFLOW.sub("", _UPLOAD.sub("", file) if known or not _DIGITS.match(file) else file)
