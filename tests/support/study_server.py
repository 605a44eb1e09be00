"""A small study for the web tests: five films, an untrained network, a client that speaks plain HTTP."""

import http.client
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from radiolucent.models import build, save
from radiolucent.readers.store_access import new_token
from radiolucent.readers.store_values import Role
from radiolucent.web.open_study import StudyPlan, open_study
from radiolucent.web.serve import running
from radiolucent.web.study_context import StudyContext

SHAPE = (150, 200)
FULL = {"finding": False, "label": "NORMAL", "confidence": 3, "statement": "clear", "marks": [], "seconds": 1.0}
ILL = FULL | {
    "finding": True,
    "label": "PNEUMONIA",
    "marks": [{"kind": "box", "points": [[20.25, 30.5], [90.0, 100.75]]}],
}
ANSWER = {"label": "NORMAL", "confidence": 2, "agree": "partly", "why": "", "seconds": 1.0, "finish": False}


def draw_films(folder: Path, count: int = 5, shape: tuple[int, int] = SHAPE) -> Path:
    """Smooth random films of both classes."""
    rng = np.random.default_rng(0)
    for i in range(count):
        place = folder / "test" / ("NORMAL", "PNEUMONIA")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(30, 220, (6, 8), dtype=np.uint8))
        coarse.resize(shape[::-1], Image.Resampling.BICUBIC).save(place / f"secret-name-{i:04d}.png")
    return folder


def write_dicom(path: Path, values: Any, **tags: Any) -> None:
    """A grey DICOM film with stored `values`, of 12 bits unless the tags say otherwise (PS3.10, explicit VR)."""
    import pydicom
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    basic = {"Modality": "DX", "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 16}
    basic |= {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "Rows": len(values), "Columns": len(values[0])}
    for name, value in (basic | tags).items():
        setattr(dataset, name, value)
    dataset.PixelData = np.asarray(values).astype("<i2" if dataset.PixelRepresentation else "<u2").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def room_films() -> dict[str, Any]:
    """Stored values by name: steps of 200 from 0 to 3400; a grid of lines one pixel wide; 12 bits in a 16-bit PNG."""
    steps = np.repeat(np.repeat(np.arange(18).reshape(3, 6) * 200, 100, 0), 60, 1)
    grid = np.full((1801, 1500), 100, np.uint8)
    grid[::4], grid[:, ::3] = 180, 30
    twelve = np.add.outer(np.arange(500) * 4, np.arange(400) * 5).astype(np.uint16)
    return {"frontal": steps, "lateral": steps.T + 300, "grid": grid, "twelve": twelve}


def draw_room(folder: Path) -> Path:
    """A frontal DICOM film with a window of its header and the detector's spacing, a lateral one of the same patient,
    a grid in a PNG, and 12 bits in a 16-bit PNG."""
    films = room_films()
    told = {"PatientID": "P1", "ImagerPixelSpacing": [0.2, 0.1], "WindowCenter": 1000, "WindowWidth": 500}
    write_dicom(
        folder / "test" / "NORMAL" / "frontal.dcm", films["frontal"], ViewPosition="PA", StudyDate="20190301", **told
    )
    write_dicom(
        folder / "test" / "NORMAL" / "lateral.dcm",
        films["lateral"],
        ViewPosition="LL",
        PatientID="P1",
        StudyDate="20200301",
    )
    place = folder / "test" / "PNEUMONIA"
    place.mkdir(parents=True)
    Image.fromarray(films["grid"]).save(place / "grid.png")
    Image.fromarray(films["twelve"]).save(place / "twelve.png")
    return folder


def case_of(context: StudyContext, name: str) -> str:
    """The opaque name of a film."""
    return next(c.id for c in context.store.cases() if Path(c.path).stem == name)


def make_run(folder: Path, seed: int = 0) -> Path:
    """An untrained small network: what it says does not matter, only when."""
    classifier, _ = build("small_cnn", pretrained=False, size=64, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    return save(classifier.with_(temperature=0.02), folder)


def make_study(
    root: Path,
    *,
    count: int = 5,
    seed: int = 0,
    shape: tuple[int, int] = SHAPE,
    name: str = "study",
    stamps: bool = False,
) -> StudyContext:
    """A study of its own in a folder."""
    films = root / "films"
    if not films.is_dir():
        draw_films(films, count, shape)
    run = make_run(root / f"run{seed}", seed)
    plan = StudyPlan(run, films, root / name, "Trial", lime_samples=30, seed=4, stamps=stamps)
    return open_study(plan, lambda *_: None).context


@dataclass
class Client:
    """One browser's worth of HTTP, without its mercy."""

    context: StudyContext
    cookie: str = ""
    key: str = ""
    seen: list[tuple[str, int, dict[str, str], bytes]] = field(default_factory=list)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        raw: bytes | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        link = http.client.HTTPConnection("127.0.0.1", self.context.port, timeout=300)
        sent = {"Origin": f"http://127.0.0.1:{self.context.port}", "Content-Type": "application/json"}
        if self.cookie:
            sent["Cookie"] = self.cookie
        if self.key:
            sent["X-Reader"] = self.key
        sent |= headers or {}
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        link.request(method, path, content, {k: v for k, v in sent.items() if v != "-"})
        answer = link.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        link.close()
        self.seen.append((f"{method} {path}", *found))
        return found

    def json(self, method: str, path: str, body: Any = None) -> Any:
        status, _, content = self.ask(method, path, body)
        assert status == 200, (method, path, status, content)
        return json.loads(content)

    def enter(self, reader: str | None, role: Role = "reader") -> "Client":
        number = None if reader is None else self.context.store.reader(reader, role)
        return self.use(new_token(self.context.store, number))

    def use(self, token: str) -> "Client":
        status, headers, content = self.ask("POST", "/api/session", {"token": token})
        assert status == 200
        self.cookie, self.key = headers["set-cookie"].split(";")[0], json.loads(content)["key"]
        return self

    def cases(self) -> list[str]:
        return [row["case"] for row in self.json("GET", "/api/worklist")]

    def save(self, case: str, given: dict[str, Any], revision: int, name: str | None = None) -> tuple[int, Any]:
        body = given | {"revision": revision, "save": name or secrets.token_hex(8)}
        status, _, content = self.ask("PUT", f"/api/cases/{case}/reading", body)
        return status, json.loads(content)

    def lock(self, case: str, given: dict[str, Any] = ILL) -> None:
        assert self.save(case, given, 0)[0] == 200
        self.json("POST", f"/api/cases/{case}/lock", {"revision": 1})

    def wait(self, path: str) -> tuple[int, dict[str, str], bytes]:
        end = time.monotonic() + 300
        while time.monotonic() < end:
            found = self.ask("GET", path)
            if found[0] != 202:
                return found
            time.sleep(0.05)
        raise AssertionError(f"{path}: still being computed")


@contextmanager
def served(context: StudyContext) -> Iterator[StudyContext]:
    with running(context):
        yield context
    context.close()
