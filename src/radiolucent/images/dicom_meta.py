"""What a DICOM header says of the film beside its pixels; none of it is needed to read it."""

from typing import Any

from radiolucent.images.dicom_header import Header
from radiolucent.images.dicom_kinds import is_for_processing
from radiolucent.shown import counted

__all__ = ["LATERAL", "metadata_of", "note_aspect", "spacing_of"]

_KEPT = (
    "Modality", "Manufacturer", "ManufacturerModelName", "InstitutionName", "BodyPartExamined", "ViewPosition",
    "PatientOrientation", "Laterality", "ImageLaterality", "PatientAge", "PatientSex", "StudyInstanceUID",
    "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "StudyDate", "PresentationIntentType", "BurnedInAnnotation",
    "ImageType", "FieldOfViewRotation", "FieldOfViewHorizontalFlip", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod", "PixelSpacingCalibrationType",
)  # fmt: skip
LATERAL = {"LL", "RL", "LLD", "RLD", "LATERAL", "LAT"}
_LOSSY = ("50", "51", "53", "55", "81", "91")
_SPACINGS = (
    ("PixelSpacing", "as the film says"),
    ("ImagerPixelSpacing", "detector"),
    ("NominalScannedPixelSpacing", "scanned film"),
)


def metadata_of(header: Header) -> dict[str, Any]:
    """What the header says, by DICOM's keywords; what a reader of the film should know becomes a note."""
    found: dict[str, Any] = {name: text for name in _KEPT if (text := header.text(name))}
    if words := [w for item in header.items("ViewCodeSequence") if (w := item.text("CodeMeaning"))]:
        found["ViewCodeMeaning"] = ", ".join(words)[:64]
    if found.get("BurnedInAnnotation", "").upper() == "YES":
        header.note("BurnedInAnnotation YES: text stands in the picture, and may name the patient")
    if mirrored(found.get("PatientOrientation", "")):
        header.note(f"PatientOrientation {found['PatientOrientation']}: the film is mirrored")
        found["mirrored"] = True
    if lies := lying(found.get("PatientOrientation", "")):
        header.note(f"PatientOrientation {found['PatientOrientation']}: the film {lies}")
    if header.has("PresentationLUTSequence"):
        header.note("a presentation LUT, not applied: the film may be shown lighter, darker or inverted elsewhere")
    if str(found.get("FieldOfViewHorizontalFlip", "")).upper() == "YES":
        header.note("the detector's image was flipped from left to right (FieldOfViewHorizontalFlip)")
    if str(found.get("FieldOfViewRotation", "0")).strip("0. ") not in ("",):
        header.note(f"the detector's image was rotated by {found['FieldOfViewRotation']}° (FieldOfViewRotation)")
    if is_for_processing(header):
        header.note("FOR PROCESSING: the detector's raw values, not the film as doctors see it")
        found["for_processing"] = True
    syntax = Header(getattr(header.dataset, "file_meta", None) or {}, header.notes).text("TransferSyntaxUID")
    lossy = found.get("LossyImageCompression") == "01" or (
        syntax.startswith("1.2.840.10008.1.2.4.") and syntax.rpartition(".")[2] in _LOSSY
    )
    if lossy:
        ratio = found.get("LossyImageCompressionRatio")
        header.note("compressed with loss" + (f", {ratio} : 1" if ratio else ""))
        found["lossy"] = True
    if shutter := header.text("ShutterShape"):
        found["shutter"] = shutter
        header.note(f"a display shutter ({shutter[:40]}), not applied: what it hides is shown")
    if layers := sum(1 for group in range(0x6000, 0x6020, 2) if (group, 0x0010) in header.dataset):
        found["overlays"] = layers
        header.note(f"{counted(layers, 'overlay')}, not drawn")
    return found


def mirrored(orientation: str) -> bool:
    """Whether a film's rows run to the patient's right, so that it is seen from behind or turned over.

    >>> mirrored("R\\\\F"), mirrored("L\\\\F"), mirrored("A\\\\F")
    (True, False, False)
    """
    rows, _, columns = orientation.upper().partition("\\")
    return (rows[:1] == "R" and columns[:1] in ("F", "")) or (rows[:1] == "L" and columns[:1] == "H")


def lying(orientation: str) -> str:
    """How a film stands that is not upright, in words; "" where it is, or where that is not known.

    >>> lying("L\\\\F"), lying("F\\\\R"), lying("R\\\\H")
    ('', 'lies on its side', 'stands on its head')
    """
    rows, _, columns = (part.strip()[:1] for part in orientation.upper().partition("\\"))
    if rows and rows in "HF" and columns and columns in "LRAP":
        return "lies on its side"
    return "stands on its head" if columns == "H" and rows and rows in "LRAP" else ""


def spacing_of(header: Header) -> tuple[tuple[float, float] | None, dict[str, str]]:
    """(spacing in mm as (row, column), or None; which tag it came from and at which plane it holds)."""
    for name, plane in _SPACINGS:
        found = header.numbers(name)
        if found is None:
            continue
        if len(found) != 2 or min(found) <= 0:
            header.note(f"{name} {found} is not two positive numbers, ignored")
            continue
        if name == "PixelSpacing":
            plane = _plane(header, found)
        return (found[0], found[1]), {"spacing_from": name, "spacing_plane": plane}
    return None, {}


def note_aspect(header: Header) -> None:
    """Say that pixels are not square: the film is read as stored, and stands stretched."""
    sides = header.numbers("PixelAspectRatio") or []
    if len(sides) != 2 or min(sides) <= 0:
        spacing = spacing_of(header)[0]
        sides = [] if spacing is None else list(spacing)
    if sides and abs(sides[0] / sides[1] - 1) > 0.01:
        header.note(f"pixels are not square ({sides[0]:g} high to {sides[1]:g} wide): the film is read as stored")


def _plane(header: Header, spacing: list[float]) -> str:
    """Where PixelSpacing holds (PS3.3 10.7.1.3): corrected to the patient where calibrated, else at the detector."""
    kind = header.text("PixelSpacingCalibrationType").upper()
    if kind in ("GEOMETRY", "FIDUCIAL"):
        return f"patient ({kind.lower()})"
    imager = header.numbers("ImagerPixelSpacing")
    if imager is not None and imager != spacing:
        return "patient (differs from the detector's)"
    return "detector"
