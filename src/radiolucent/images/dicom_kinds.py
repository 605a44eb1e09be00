"""What a DICOM object is, and which are no radiographs."""

from pathlib import Path

from radiolucent.errors import ImageError
from radiolucent.images.dicom_header import Header

__all__ = ["is_for_processing", "refuse_others"]

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_RADIOGRAPHS = (
    "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1", "7", "7.1", "7.2", "7.3", "7.4", "12.1", "12.1.1", "12.2",
    "12.2.1", "12.3", "13.1.4", "13.1.5",
)  # fmt: skip
_XRAYS = ("CR", "DX", "MG", "PX", "IO", "RG", "RF", "XA", "RTIMAGE", "OT", "SC", "XC")
_OTHERS = {
    "2": "a CT image", "2.1": "a CT image", "2.2": "a CT image", "4": "an MR image", "4.1": "an MR image",
    "4.2": "an MR spectrum", "4.3": "an MR image", "4.4": "an MR image", "6.1": "an ultrasound image",
    "3.1": "an ultrasound clip", "6.2": "an ultrasound volume", "20": "a nuclear medicine image",
    "128": "a PET image", "130": "a PET image", "128.1": "a PET image", "481.2": "an RT dose",
    "481.3": "an RT structure set", "481.4": "an RT treatment record", "481.5": "an RT plan",
    "66": "raw data", "66.1": "a spatial registration", "66.2": "spatial fiducials", "66.3": "a deformation",
    "66.4": "a segmentation (SEG)", "66.5": "a surface segmentation", "66.7": "a label-map segmentation (SEG)",
    "67": "real world values", "30": "a parametric map", "104.1": "an encapsulated PDF document",
    "104.2": "an encapsulated CDA document", "104.3": "an encapsulated 3-D model",
    "13.1.1": "an X-ray angiogram in 3-D",
    "13.1.3": "a breast tomosynthesis", "77.1.6": "a whole slide image", "77.1.1": "an endoscopy image",
    "77.1.1.1": "an endoscopy video", "77.1.4": "a photograph", "77.1.4.1": "a video",
}  # fmt: skip
_GROUPS = {
    "9.": "a waveform", "11.": "a presentation state", "88.": "a structured report (SR)", "77.1.5": "an eye image",
    "14.": "an optical coherence image", "78.": "a measurement of the eye", "481.": "an RT object",
}  # fmt: skip
_MODALITIES = {
    "CT": "a CT image", "MR": "an MR image", "PT": "a PET image", "NM": "a nuclear medicine image",
    "US": "an ultrasound image", "SR": "a structured report (SR)", "SEG": "a segmentation (SEG)",
    "RTDOSE": "an RT dose", "RTSTRUCT": "an RT structure set", "RTPLAN": "an RT plan", "PR": "a presentation state",
    "DOC": "a document", "ECG": "a waveform", "SM": "a whole slide image", "KO": "a key object selection",
}  # fmt: skip
DIRECTORY = "1.2.840.10008.1.3.10"
FOR_PROCESSING = tuple(f"{_STORAGE}{n}.1" for n in ("1.1", "1.2", "1.3"))


def is_for_processing(header: Header) -> bool:
    """Whether the pixels are the detector's own, not those meant to be looked at."""
    return (
        header.text("PresentationIntentType").upper() == "FOR PROCESSING"
        or header.text("SOPClassUID") in FOR_PROCESSING
    )


def refuse_others(header: Header, file: Path) -> None:
    """Refuse an object that is no radiograph, and say what it is.

    Raises:
        ImageError: it is another kind of image, or no image.
    """
    media = header.text("MediaStorageSOPClassUID") or _meta(header)
    if media == DIRECTORY or header.has("DirectoryRecordSequence"):
        names = _listed(header)
        some = f": {', '.join(names[:5])}{' …' if len(names) > 5 else ''}" if names else ""
        raise ImageError(
            f"{file}: is a DICOMDIR, the list of {len(names)} files{some}; give those, or the folder they lie in."
        )
    uid = (header.text("SOPClassUID") or media).removeprefix(_STORAGE)
    modality = header.text("Modality").upper()
    what = "" if uid in _RADIOGRAPHS else _named(uid) if uid else _MODALITIES.get(modality, "")
    if what:
        raise ImageError(f"{file}: is {what}, no radiograph; give CR, DX, or another X-ray image.")
    if uid and uid not in _RADIOGRAPHS:
        header.note(f"SOP class {uid[:64]} is not known, taken for a radiograph")
    if modality and modality not in _XRAYS:
        odd = _MODALITIES.get(modality, "something else")
        header.note(f"Modality {modality[:16]}: by it this is {odd}, not a radiograph")


def _named(uid: str) -> str:
    """What a standard SOP class is that is no radiograph; "" of any other UID."""
    from pydicom.uid import UID

    if what := _OTHERS.get(uid) or next((words for group, words in _GROUPS.items() if uid.startswith(group)), ""):
        return what
    full = UID(uid if uid.startswith("1.2.840.10008.") else _STORAGE + uid)
    return f"{full.name!r}" if full.name != full else ""


def _meta(header: Header) -> str:
    meta = getattr(header.dataset, "file_meta", None)
    return "" if meta is None else Header(meta, header.notes).text("MediaStorageSOPClassUID")


def _listed(header: Header) -> list[str]:
    found = (item.text("ReferencedFileID").replace("\\", "/") for item in header.items("DirectoryRecordSequence"))
    return [name for name in found if name]
