"""Readings as DICOM Segmentation and Structured Report objects, made with highdicom from the films they belong to."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.data.annotations.writing import in_reach, no_zones, readings_of
from radiolucent.data.records import Dataset
from radiolucent.errors import AnnotationError
from radiolucent.extras import require
from radiolucent.files import atomic_path
from radiolucent.images import region_mask
from radiolucent.types import Annotation, Region

__all__ = ["write_reports", "write_segments"]

_EMPTY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
          "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator")  # fmt: skip
_NAMED = {"manufacturer": "radiolucent", "instance_number": 1}
_SCHEME = "99RADIOLUCENT"


def _films(
    annotations: Sequence[Annotation], dataset: Dataset | None, name: str
) -> Iterator[tuple[str, str, Any, Any]]:
    """(image, reader, header of the film, annotations) of every reading.

    Raises:
        AnnotationError: a film that is not in the data set, or no DICOM.
    """
    pydicom = require("pydicom", extra="dicom")
    paths = {r.image_id: r.path for r in dataset.records} if dataset else {}
    for (image, reader), said in readings_of(annotations).items():
        no_zones(said, name)
        if image not in paths:
            raise AnnotationError(
                f"{image}: {name} refers to films in DICOM; give the data set (--data) that has them."
            )
        try:
            film = pydicom.dcmread(paths[image])
            _ = film.SOPInstanceUID, film.StudyInstanceUID, film.SeriesInstanceUID
        except (pydicom.errors.InvalidDicomError, AttributeError) as error:
            raise AnnotationError(
                f"{paths[image]}: no DICOM film, so that {name} cannot refer to it; write COCO."
            ) from error
        yield image, reader, _complete(film), said


def _complete(film: Any) -> Any:
    """A film with the tags empty that the standard wants present, and a frame of reference for highdicom."""
    pydicom = require("pydicom", extra="dicom")
    whole = copy.copy(film)
    for tag in _EMPTY:
        if tag not in whole:
            setattr(whole, tag, "")
    if "FrameOfReferenceUID" not in whole:
        whole.FrameOfReferenceUID = pydicom.uid.generate_uid(entropy_srcs=[str(film.SOPInstanceUID)])
    return whole


def _save(made: Any, path: Path, image: str, reader: str, what: str) -> None:
    with atomic_path(in_reach(path, reader, image, f".{what}.dcm")) as temporary:
        made.save_as(temporary)


def _new(pydicom: Any, number: int) -> dict[str, Any]:
    uid = pydicom.uid.generate_uid
    return {"series_instance_uid": uid(), "sop_instance_uid": uid(), "series_number": number, **_NAMED}


def write_segments(annotations: Sequence[Annotation], path: Path, dataset: Dataset | None) -> None:
    """One object a film and reader, one binary segment a label; `path/READER/IMAGE.seg.dcm`.

    Raises:
        AnnotationError: the films are not there or no DICOM; findings without a place; words or diagnoses.
    """
    hd, pydicom = require("highdicom", extra="annotations"), require("pydicom", extra="dicom")
    codes = require("pydicom.sr.codedict", extra="dicom").codes
    for image, reader, film, said in _films(annotations, dataset, "dicom-seg"):
        for a in said:
            if (a.finding and not a.regions) or a.diagnoses or a.statement:
                raise AnnotationError(
                    f"{image}: a segmentation cannot hold {reader}'s words or findings without a place."
                )
        shape = (int(film.Rows), int(film.Columns))
        masks = [(a.label or "finding", region_mask(a, shape)) for a in said if a.regions] or [
            ("finding", np.zeros(shape, bool))
        ]
        described = [
            hd.seg.SegmentDescription(
                number, label, codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.MorphologicallyAbnormalStructure,
                hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
            for number, (label, _) in enumerate(masks, start=1)
        ]  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = hd.seg.Segmentation(
                [film], np.stack([mask for _, mask in masks], -1)[None].astype(np.uint8),
                hd.seg.SegmentationTypeValues.BINARY, described, manufacturer_model_name="radiolucent",
                software_versions="1", device_serial_number="1", content_creator_name=reader, **_new(pydicom, 901),
            )  # fmt: skip
        _save(made, path, image, reader, "seg")


def write_reports(annotations: Sequence[Annotation], path: Path, dataset: Dataset | None) -> None:
    """One report a film and reader, one measurement group a region or label; `path/READER/IMAGE.sr.dcm`.

    Raises:
        AnnotationError: the films are not there or no DICOM; masks; a mark without label.
    """
    hd, pydicom = require("highdicom", extra="annotations"), require("pydicom", extra="dicom")
    codes = require("pydicom.sr.codedict", extra="dicom").codes
    for image, reader, film, said in _films(annotations, dataset, "dicom-sr"):
        groups = [g for a in said for g in _groups(a, film, hd, pydicom, reader)]
        person = hd.sr.PersonObserverIdentifyingAttributes(name=reader)
        observer = hd.sr.ObserverContext(codes.DCM.Person, person)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = hd.sr.MeasurementReport(
                observation_context=hd.sr.ObservationContext(observer_person_context=observer),
                procedure_reported=hd.sr.CodedConcept("399208008", "SCT", "Plain chest X-ray"),
                imaging_measurements=groups, title=codes.DCM.ImagingMeasurementReport,
            )  # fmt: skip
            made = hd.sr.ComprehensiveSR([film], content, is_complete=True, **_new(pydicom, 902))
        _save(made, path, image, reader, "sr")


def _groups(a: Annotation, film: Any, hd: Any, pydicom: Any, reader: str) -> list[Any]:
    if a.diagnoses or a.statement or (a.regions and not a.label):
        raise AnnotationError(
            f"{a.image_id}: {reader} marked without a label, or said something beside the marks; write COCO."
        )
    label = a.label or "No finding"
    finding = hd.sr.CodedConcept(label.upper().replace(" ", "_")[:16] or "FINDING", _SCHEME, label[:64])
    if not a.regions:
        source = hd.sr.SourceImageForMeasurementGroup.from_source_image(film)
        tracked = hd.sr.TrackingIdentifier(pydicom.uid.generate_uid(), "whole image")
        group = hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracked, source_images=[source], finding_type=finding
        )
        return [group]
    found: list[Any] = []
    for number, region in enumerate(a.regions, start=1):
        region_of = hd.sr.ImageRegion(
            hd.sr.GraphicTypeValues.POLYLINE, _outline(region, a), hd.sr.SourceImageForRegion.from_source_image(film)
        )
        tracked = hd.sr.TrackingIdentifier(pydicom.uid.generate_uid(), f"{label} {number}"[:64])
        found.append(
            hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=tracked, referenced_region=region_of, finding_type=finding
            )
        )
    return found


def _outline(region: Region, a: Annotation) -> Any:
    """A closed line (K, 2) around a box or polygon.

    Raises:
        AnnotationError: a mask.
    """
    if region.points is None:
        raise AnnotationError(f"{a.image_id}: a report holds outlines, no masks; write dicom-seg or COCO.")
    points = region.points
    if region.kind == "box":
        (x0, y0), (x1, y1) = points
        points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return np.vstack([points, points[:1]])
