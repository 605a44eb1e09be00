"""The same mark in every format, each laid out as its tool or collection publishes it, not as our reader takes it.

One film `a.png` of 100 × 60 pixels bears a box from (10, 20) to (40, 50), called "Mass".
"""

import json
from typing import Any

__all__ = ["BOX", "SIZE", "readings"]

SIZE = (60, 100)
BOX = (10, 20, 40, 50)
_CORNERS = [[10, 20], [40, 20], [40, 50], [10, 50]]
_POINTS = [{"x": x, "y": y} for x, y in _CORNERS]


def readings() -> dict[str, dict[str, bytes]]:
    """Files by path, by the name of their format."""
    made: dict[str, dict[str, Any]] = {
        "coco": {"instances.json": {
            "info": {"year": 2024}, "licenses": [{"id": 1, "name": "", "url": ""}],
            "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 60, "license": 1, "date_captured": ""}],
            "categories": [{"id": 1, "name": "Mass", "supercategory": ""}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 30], "area": 900.0,
                             "segmentation": [], "iscrowd": 0}]}},
        "labelstudio": {"project.json": [{
            "id": 41, "data": {"image": "/data/upload/1/0a1b2c3d-a.png"}, "predictions": [], "project": 1,
            "annotations": [{"id": 7, "completed_by": 1, "was_cancelled": False, "ground_truth": False, "result": [{
                "original_width": 100, "original_height": 60, "image_rotation": 0, "id": "x", "from_name": "label",
                "to_name": "image", "type": "rectanglelabels", "origin": "manual", "value": {
                    "x": 10.0, "y": 100 / 3, "width": 30.0, "height": 50.0, "rotation": 0,
                    "rectanglelabels": ["Mass"]}}]}]}]},
        "labelstudio-min": {"min.json": [{
            "image": "/data/upload/1/0a1b2c3d-a.png", "id": 41, "annotator": 1, "annotation_id": 7, "lead_time": 3.1,
            "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z", "label": [{
                "x": 10.0, "y": 100 / 3, "width": 30.0, "height": 50.0, "rotation": 0, "rectanglelabels": ["Mass"],
                "original_width": 100, "original_height": 60}]}]},
        "labelme": {"a.json": {
            "version": "5.4.1", "flags": {}, "imagePath": "a.png", "imageData": None, "imageHeight": 60,
            "imageWidth": 100, "shapes": [{"label": "Mass", "points": [[10, 20], [40, 50]], "group_id": None,
                                           "description": "", "shape_type": "rectangle", "flags": {}, "mask": None}]}},
        "cvat": {"annotations.xml": """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><id>5</id><assignee><username>dr</username></assignee></task></meta>
<image id="0" name="a.png" width="100" height="60"><box label="Mass" source="manual" occluded="0" xtl="10.00"
ytl="20.00" xbr="40.00" ybr="50.00" z_order="0"></box></image></annotations>"""},
        "voc": {"Annotations/a.xml": """<annotation><folder>films</folder><filename>a.png</filename><source>
<database>Unknown</database></source><size><width>100</width><height>60</height><depth>1</depth></size><segmented>0
</segmented><object><name>Mass</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><bndbox>
<xmin>10</xmin><ymin>20</ymin><xmax>40</xmax><ymax>50</ymax></bndbox></object></annotation>"""},
        "yolo": {"labels/train/a.txt": "1 0.25 0.583333333333 0.3 0.5\n", "classes.txt": "Nodule\nMass\n"},
        "w3c": {"page.json": {
            "@context": "http://www.w3.org/ns/anno.jsonld", "id": "http://x.org/page1", "type": "AnnotationPage",
            "items": [{"id": "http://x.org/1", "type": "Annotation", "target": "http://x.org/f/a.png#xywh=10,20,30,30",
                       "body": {"type": "TextualBody", "purpose": "tagging", "value": "Mass"}}]}},
        "darwin": {"a.json": {
            "version": "2.0", "schema_ref": "https://darwin-public.s3.eu-west-1.amazonaws.com/darwin_json/2.0",
            "item": {"name": "a.png", "path": "/", "slots": [{
                "type": "image", "slot_name": "0", "width": 100, "height": 60,
                "source_files": [{"file_name": "a.png", "url": "https://darwin.v7labs.com/x"}]}]},
            "annotations": [{"id": "u", "name": "Mass", "slot_names": ["0"], "properties": [],
                             "bounding_box": {"x": 10, "y": 20, "w": 30, "h": 30}}]}},
        "via": {"via_project.json": {
            "_via_settings": {"ui": {}}, "_via_attributes": {"region": {}, "file": {}},
            "_via_data_format_version": "2.0.10", "_via_image_id_list": ["a.png123"],
            "_via_img_metadata": {"a.png123": {
                "filename": "a.png", "size": 123, "file_attributes": {}, "regions": [{
                    "shape_attributes": {"name": "rect", "x": 10, "y": 20, "width": 30, "height": 30},
                    "region_attributes": {"finding": "Mass"}}]}}}},
        "via3": {"via_project_3.json": {
            "project": {"pid": "__VIA_PROJECT_ID__", "rev": "__VIA_PROJECT_REV_ID__", "pname": "Films",
                        "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__", "data_format_version": "3.1.1",
                        "creator": "VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)",
                        "created": 1573815248007, "vid_list": ["1"]},
            "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "", "4": ""}}, "ui": {}},
            "attribute": {"1": {"aname": "finding", "anchor_id": "FILE1_Z0_XY1", "type": 4, "desc": "", "options": {
                "0": "Nodule", "1": "Mass"}, "default_option_id": ""}},
            "file": {"1": {"fid": 1, "fname": "a.png", "type": 2, "loc": 1, "src": ""}},
            "metadata": {"1_QgFfPqlF": {"vid": "1", "flg": 0, "z": [], "xy": [2, 10, 20, 30, 30], "av": {"1": "1"}}},
            "view": {"1": {"fid_list": [1]}}}},
        "via-csv": {"via.csv": "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,"
                    'region_attributes\na.png,123,"{}",1,0,"{""name"":""rect"",""x"":10,""y"":20,""width"":30,'
                    '""height"":30}","{""finding"":""Mass""}"\n'},
        "createml": {"_annotations.createml.json": [{"image": "a.png", "annotations": [
            {"label": "Mass", "coordinates": {"x": 25, "y": 35, "width": 30, "height": 30}}]}]},
        "huggingface": {"train/metadata.jsonl": '{"file_name": "a.png", "objects": {"bbox": [[10.0, 20.0, 30.0, '
                        '30.0]], "categories": ["Mass"]}}\n{"file_name": "a2.png", "objects": {"bbox": [], '
                        '"categories": []}}\n'},
        "groundtruth": {"manifests/output/output.manifest": {
            "source-ref": "s3://bucket/films/a.png",
            "marks": {"image_size": [{"width": 100, "height": 60, "depth": 1}],
                      "annotations": [{"class_id": 1, "left": 10, "top": 20, "width": 30, "height": 30}]},
            "marks-metadata": {"objects": [{"confidence": 0.99}], "class-map": {"0": "Nodule", "1": "Mass"},
                               "type": "groundtruth/object-detection", "human-annotated": "yes",
                               "creation-date": "2020-01-01T00:00:00", "job-name": "labeling-job/marks"}}},
        "prodigy": {"annotations.jsonl": '{"image": "films/a.png", "width": 100, "height": 60, "spans": [{"id": "s", '
                    '"label": "Mass", "type": "rect", "x": 10, "y": 20, "width": 30, "height": 30, "center": [25, 35], '
                    '"points": [[10, 20], [10, 50], [40, 50], [40, 20]]}], "answer": "accept"}\n'
                    '{"image": "films/b.png", "answer": "reject"}\n'},
        "datumaro": {"annotations/default.json": {
            "info": {}, "categories": {"label": {"labels": [{"name": "Nodule", "parent": "", "attributes": []},
                                                            {"name": "Mass", "parent": "", "attributes": []}],
                                                 "attributes": []}},
            "items": [{"id": "a", "image": {"path": "a.png", "size": [60, 100]}, "attr": {"frame": 0}, "annotations": [
                {"id": 0, "type": "bbox", "attributes": {"occluded": False}, "group": 0, "label_id": 1, "z_order": 0,
                 "bbox": [10.0, 20.0, 30.0, 30.0]}]}]}},
        "mdai": {"mdai_annotations.json": {
            "id": "P", "name": "chest", "labelGroups": [{"id": "G_1", "name": "findings", "labels": [
                {"id": "L_1", "shortId": "x", "name": "Mass", "type": "LOCAL", "scope": "INSTANCE",
                 "annotationMode": "bbox"}]}],
            "datasets": [{"id": "D_1", "name": "films", "studies": [], "annotations": [
                {"id": "A_1", "parentId": None, "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3",
                 "SOPInstanceUID": "a", "frameNumber": None, "labelId": "L_1", "height": 60, "width": 100,
                 "createdById": "U_1", "note": None, "data": {"x": 10, "y": 20, "width": 30, "height": 30}}]}]}},
        "supervisely": {"ds0/ann/a.png.json": {
            "description": "", "tags": [], "size": {"height": 60, "width": 100}, "objects": [{
                "id": 1, "classId": 2, "description": "", "geometryType": "rectangle", "labelerLogin": "dr",
                "createdAt": "2024-01-01T00:00:00.000Z", "updatedAt": "2024-01-01T00:00:00.000Z", "tags": [],
                "classTitle": "Mass", "points": {"exterior": [[10, 20], [40, 50]], "interior": []}}]}},
        "labelbox": {"export.ndjson": {
            "data_row": {"id": "c", "global_key": "k", "external_id": "a.png", "row_data": "https://x.org/a.png?t=1"},
            "media_attributes": {"height": 60, "width": 100, "mime_type": "image/png"},
            "projects": {"p": {"name": "chest", "labels": [{
                "label_kind": "Default", "id": "l", "label_details": {"created_by": "dr@x.org"},
                "performance_details": {"seconds_to_create": 5}, "annotations": {
                    "objects": [{"feature_id": "f", "name": "Mass", "value": "mass",
                                 "annotation_kind": "ImageBoundingBox", "classifications": [],
                                 "bounding_box": {"top": 20.0, "left": 10.0, "height": 30.0, "width": 30.0}}],
                    "classifications": [], "relationships": []}}]}}}},
        "geojson": {"a.geojson": {"type": "FeatureCollection", "features": [{
            "type": "Feature", "id": "8a", "geometry": {"type": "Polygon", "coordinates": [[*_CORNERS, _CORNERS[0]]]},
            "properties": {"objectType": "annotation", "classification": {"name": "Mass", "color": [200, 0, 0]}}}]}},
        "csv": {"marks.csv": "image,x,y,width,height,label\na.png,10,20,30,30,Mass\n"},
        "rsna": {"stage_2_train_labels.csv": "patientId,x,y,width,height,Target\na,10.0,20.0,30.0,30.0,1\n"},
        "nih": {"BBox_List_2017.csv": "Image Index,Finding Label,Bbox [x,y,w,h],,,\na.png,Mass,10.0,20.0,30.0,30.0\n"},
        "vindr": {"train.csv": "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max\n"
                  "a,Mass,8,R9,10,20,40,50\n"},
        "siim": {"train-rle.csv": "ImageId, EncodedPixels\na, " + _siim() + "\n"},
        "reflacx": {
            "main_data/P300R1/anomaly_location_ellipses.csv": "xmin,ymin,xmax,ymax,certainty,Fibrosis,Mass\n"
            "10,20,40,50,5,False,True\n1,1,9,9,2,True,False\n",
            "main_data/metadata_phase_3.csv": "id,split,eye_tracking_data_discarded,image,dicom_id,subject_id,"
            "image_size_x,image_size_y\nP300R1,train,False,physionet.org/files/a.dcm,a,p1,100,60\n"},
        "corners": {"_annotations.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\n"
                    "a.png,100,60,Mass,10,20,40,50\n"},
        "bbox-lists": {"train.csv": 'image_id,width,height,bbox_xywh,label\na.png,100,60,"[10, 20.0, 30, 30]",Mass\n'},
        "object-cxr": {"train.csv": "image_name,annotation\na.png,0 10 20 40 50;2 10 20 40 20 40 50 10 50\n"},
        "retinanet": {"train.csv": "films/a.png,10,20,40,50,Mass\n"},
        "chestxdet": {"ChestX_Det_train.json": [
            {"file_name": "a.png", "syms": ["Mass"], "boxes": [[10, 20, 40, 50]], "polygons": [_CORNERS]}]},
        "chexlocalize": {"gt_annotations_val.json": {"a": {"img_size": [60, 100], "Mass": [_CORNERS]}}},
    }  # fmt: skip
    return {
        name: {p: c.encode() if isinstance(c, str) else json.dumps(c).encode() for p, c in files.items()}
        for name, files in made.items()
    }


def _siim() -> str:
    """Columns 10 to 39, rows 20 to 49 of 1024 × 1024: each run after a gap since the last one's end."""
    first = 10 * 1024 + 20
    return " ".join([f"{first} 30", *["994 30"] * 29])
