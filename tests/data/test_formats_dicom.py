"""DICOM Segmentation and Structured Report objects, written with highdicom."""

import warnings
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import FileDataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from radiolucent.data import Dataset, Record, read_annotations
from radiolucent.errors import AnnotationError
from radiolucent.images import region_mask
from support.films import write_dicom
from support.formats import HEIGHT, WIDTH, blot

SIZE = (HEIGHT, WIDTH)


@pytest.fixture
def film(tmp_path: Path) -> FileDataset:
    """A radiograph of our size, with what objects made from it need."""
    study = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid(), "PatientName": "Child^Seven"}
    rest = {
        "PatientBirthDate": "",
        "PatientSex": "",
        "AccessionNumber": "",
        "StudyID": "1",
        "ReferringPhysicianName": "",
    }
    times = {"StudyDate": "20260101", "StudyTime": "120000", "SeriesNumber": 1, "InstanceNumber": 1}
    rest |= {"FrameOfReferenceUID": generate_uid(), "PositionReferenceIndicator": "", "ReferringPhysicianName": ""}
    made = write_dicom(tmp_path / "film.dcm", np.zeros(SIZE, np.uint16), **study, **rest, **times)
    return made


def seg(film: FileDataset, masks: dict[str, np.ndarray], kind: Any, **more: Any) -> Any:
    device = hd.AlgorithmIdentificationSequence(name="hand", version="1", family=codes.DCM.ArtificialIntelligence)
    described = [
        hd.seg.SegmentDescription(
            number, label, codes.SCT.Tissue, codes.SCT.Tissue, hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            algorithm_identification=device,
        )
        for number, label in enumerate(masks, start=1)
    ]  # fmt: skip
    pixels = np.stack(list(masks.values()), -1)[None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hd.seg.Segmentation(
            [film], pixels, kind, described, series_instance_uid=generate_uid(), series_number=2,
            sop_instance_uid=generate_uid(), instance_number=1, manufacturer="x", manufacturer_model_name="x",
            software_versions="1", device_serial_number="1", content_creator_name="Dr^A", **more,
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_segments_come_back_with_reader_and_label(film: FileDataset, tmp_path: Path, kind: str) -> None:
    apart = blot()[::-1] & ~blot()  # a label map's segments cannot overlap
    masks = {"opacity": blot(), "effusion": apart, "nothing": blot() & False}
    seg(film, masks, getattr(hd.seg.SegmentationTypeValues, kind)).save_as(tmp_path / "seg.dcm")
    films = Dataset((Record(tmp_path / "film.dcm", "ward/film.dcm"),), ())
    found = {a.label: a for a in read_annotations(tmp_path / "seg.dcm", dataset=films)}
    assert set(found) == {"opacity", "effusion"} and found["opacity"].reader == "Dr^A"
    assert found["opacity"].image_id == "ward/film.dcm" and found["opacity"].image_shape == SIZE
    for name, a in found.items():
        np.testing.assert_array_equal(region_mask(a, SIZE), masks[name])


def test_fractional_segments_are_marked_above_one_half(film: FileDataset, tmp_path: Path) -> None:
    half = np.where(blot(), 0.8, 0.0)
    half[50:, :50] = 0.4
    kind = hd.seg.SegmentationTypeValues.FRACTIONAL
    seg(film, {"opacity": half}, kind, max_fractional_value=100).save_as(tmp_path / "seg.dcm")
    (found,) = read_annotations(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(region_mask(found, SIZE), blot())
    seg(film, {"opacity": blot() & False}, hd.seg.SegmentationTypeValues.BINARY).save_as(tmp_path / "empty.dcm")
    (found,) = read_annotations(tmp_path / "empty.dcm")
    assert found.finding is False and found.image_id == str(film.SOPInstanceUID)


def report(film: FileDataset, groups: list[Any]) -> Any:
    observer = hd.sr.PersonObserverIdentifyingAttributes(name="Dr^B")
    context = hd.sr.ObservationContext(observer_person_context=hd.sr.ObserverContext(codes.DCM.Person, observer))
    content = hd.sr.MeasurementReport(
        observation_context=context, procedure_reported=codes.LN.CTUnspecifiedBodyRegion, imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hd.sr.ComprehensiveSR(
            [film], content, series_number=3, series_instance_uid=generate_uid(), sop_instance_uid=generate_uid(),
            instance_number=1, manufacturer="x", is_complete=True,
        )  # fmt: skip


def roi(film: FileDataset, kind: Any, points: Any, finding: Any) -> Any:
    region = hd.sr.ImageRegion(kind, np.asarray(points, float), hd.sr.SourceImageForRegion.from_source_image(film))
    return hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(generate_uid(), "roi"),
        referenced_region=region,
        finding_type=finding,
    )


def test_regions_of_a_report_come_back(film: FileDataset, tmp_path: Path) -> None:
    kinds = hd.sr.GraphicTypeValues
    mass, effusion = codes.SCT.Mass, codes.SCT.PleuralEffusion
    triangle = [[10.5, 10], [30, 10], [10, 40.25], [10.5, 10]]
    groups = [
        roi(film, kinds.POLYLINE, triangle, mass),
        roi(film, kinds.CIRCLE, [[70, 30], [70, 40]], effusion),
        roi(film, kinds.ELLIPSE, [[30, 10], [30, 50], [20, 30], [40, 30]], effusion),
    ]
    report(film, groups).save_as(tmp_path / "sr.dcm")
    films = Dataset((Record(tmp_path / "film.dcm", "ward/film.dcm"),), ())
    found = {a.label: a for a in read_annotations(tmp_path / "sr.dcm", dataset=films)}
    assert set(found) == {"Mass", "Pleural effusion"} and found["Mass"].reader == "Dr^B"
    assert found["Mass"].image_id == "ward/film.dcm"
    np.testing.assert_allclose(found["Mass"].regions[0].points, triangle[:-1])
    circle, oval = found["Pleural effusion"].regions
    assert circle.points is not None and oval.points is not None
    np.testing.assert_allclose([circle.points.min(0), circle.points.max(0)], [[60, 20], [80, 40]], atol=0.05)
    np.testing.assert_allclose([oval.points.min(0), oval.points.max(0)], [[20, 10], [40, 50]], atol=0.05)


def test_reports_without_regions_and_open_lines(film: FileDataset, tmp_path: Path) -> None:
    line = roi(film, hd.sr.GraphicTypeValues.POLYLINE, [[1, 1], [5, 5], [9, 2]], codes.SCT.Mass)
    report(film, [line]).save_as(tmp_path / "line.dcm")
    with pytest.raises(AnnotationError, match="an open line marks no area"):
        read_annotations(tmp_path / "line.dcm")
    for finding, expected in ((CodedConcept("17621005", "SCT", "Normal"), False), (codes.SCT.Mass, True)):
        group = hd.sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=hd.sr.TrackingIdentifier(generate_uid(), "whole"), finding_type=finding,
            source_images=[hd.sr.SourceImageForMeasurementGroup.from_source_image(film)],
        )  # fmt: skip
        report(film, [group]).save_as(tmp_path / "whole.dcm")
        (found,) = read_annotations(tmp_path / "whole.dcm")
        assert found.finding is expected and not found.regions and found.image_id == str(film.SOPInstanceUID)
    with pytest.raises(AnnotationError, match=r"dicom of no known format.*class Computed Radiography Image Storage"):
        read_annotations(tmp_path / "film.dcm")
    (tmp_path / "cut.dcm").write_bytes((tmp_path / "whole.dcm").read_bytes()[:400])
    with pytest.raises(AnnotationError, match=r"cut\.dcm"):
        read_annotations(tmp_path / "cut.dcm")


def test_presentation_states(film: FileDataset, tmp_path: Path) -> None:
    kinds = hd.pr.GraphicTypeValues
    layer = hd.pr.GraphicLayer("FINDINGS", order=1)
    box = [[10.0, 20], [40, 20], [40, 50], [10, 50], [10, 20]]
    drawn = [
        hd.pr.GraphicObject(kinds.POLYLINE, np.array(box), units="PIXEL", is_filled=True),
        hd.pr.GraphicObject(kinds.CIRCLE, np.array([[70.0, 30], [80, 30]]), units="PIXEL"),
    ]
    line = [hd.pr.GraphicObject(kinds.POLYLINE, np.array(box[:3]), units="PIXEL")]
    words = [hd.pr.TextObject("Mass", units="PIXEL", anchor_point=(10.0, 20.0))]
    for name, graphics in (("a.dcm", drawn), ("b.dcm", line)):
        marks = hd.pr.GraphicAnnotation([film], layer, graphic_objects=graphics, text_objects=words)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            hd.pr.GrayscaleSoftcopyPresentationState(
                [film], series_instance_uid=generate_uid(), series_number=5, sop_instance_uid=generate_uid(),
                instance_number=1, manufacturer="x", manufacturer_model_name="x", software_versions="1",
                device_serial_number="1", content_label="MARKS", graphic_layers=[layer], graphic_annotations=[marks],
                content_creator_name="Dr^A",
            ).save_as(tmp_path / name)  # fmt: skip
    films = Dataset((Record(tmp_path / "film.dcm", "ward/film.dcm"),), ())
    (found,) = read_annotations(tmp_path / "a.dcm", dataset=films)
    assert (found.image_id, found.label, found.reader) == ("ward/film.dcm", "Mass", "Dr^A")
    assert found.regions[0].kind == "box" and found.regions[0].points is not None
    assert found.regions[0].points.tolist() == [[10, 20], [40, 50]]
    assert region_mask(found, SIZE).sum() == pytest.approx(900 + np.pi * 100, rel=0.02)
    with pytest.raises(AnnotationError, match="an open line marks no area"):
        read_annotations(tmp_path / "b.dcm")
