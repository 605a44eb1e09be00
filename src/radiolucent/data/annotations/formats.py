"""Every format, one file each: a new one is a file here and its name in `_FILES`."""

from importlib import import_module

from radiolucent.data.annotations.format import Format

__all__ = ["FORMATS", "formats_table"]

_FILES = (  # where several formats take a file, the first of them reads it
    "coco",
    "labelstudio",
    "labelstudio_min",
    "labelme",
    "cvat",
    "voc",
    "yolo",
    "w3c",
    "darwin",
    "via",
    "via3",
    "via_csv",
    "createml",
    "huggingface",
    "groundtruth",
    "prodigy",
    "datumaro",
    "mdai",
    "supervisely",
    "labelbox",
    "geojson",
    "plain",
    "rsna",
    "nih",
    "vindr",
    "siim",
    "reflacx",
    "corners",
    "box_lists",
    "object_cxr",
    "retinanet",
    "zones",
    "chestxdet",
    "chexlocalize",
    "chexlocalize_pickle",
    "masks",
    "nrrd_masks",
    "nifti_masks",
    "dicom_seg",
    "dicom_sr",
    "dicom_gsps",
)

FORMATS: dict[str, Format] = {
    found.name: found for found in (import_module(f"{__package__}.{file}").FORMAT for file in _FILES)
}


def formats_table() -> str:
    """The table of all formats in Markdown, as it stands in docs/reference/formats.md."""
    rows = ["| `--format` | what is read | traps that are taken care of | written |", "|---|---|---|---|"]
    for f in FORMATS.values():
        traps = f"{f.traps}; an image without a mark: {f.empty_means}"
        cells = (f"`{f.name}`", f"{f.title}: {f.holds}", traps, "yes" if f.write else "")
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)
