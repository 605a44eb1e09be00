"""Masks that the audit makes by itself."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radiolucent.audits.trial.answers import collect
from radiolucent.audits.trial.edits import EDITS
from radiolucent.audits.trial.maskers import maskers, seen_lungs, seen_markers
from radiolucent.audits.trial.regions import view_of
from radiolucent.data.phantom.draw import draw
from radiolucent.data.phantom.markers import stamp
from radiolucent.files import sha256_file
from radiolucent.images import from_array
from radiolucent.models import build
from radiolucent.segment.lungs import weights_path
from radiolucent.segment.markers import scorer_path
from radiolucent.types import Radiograph

SIZE = 256


@pytest.fixture(scope="module")
def film() -> Radiograph:
    """A phantom with a white R beside the shoulder."""
    plain = draw(np.random.default_rng(4), size=SIZE, pneumonia=False, site=0).pixels
    ink = stamp((SIZE, SIZE), "R", 20, 30, 18)
    return from_array(np.rint(plain * (1 - ink) + 245 * ink).astype(np.uint8), image_id="marked")


def test_lungs_and_markers_are_found_where_they_are(film: Radiograph) -> None:
    truth = draw(np.random.default_rng(4), size=SIZE, pneumonia=False, site=0).lungs
    lungs, marks = seen_lungs(film), seen_markers(film)
    assert lungs is not None and (lungs & truth).sum() > 0.7 * truth.sum()
    ink = stamp((SIZE, SIZE), "R", 20, 30, 18) > 0.5
    assert (marks & ink).sum() > 0.5 * ink.sum()


def test_a_mask_that_is_not_trusted_counts_as_unknown(film: Radiograph) -> None:
    noise = from_array(np.random.default_rng(0).integers(0, 255, (SIZE, SIZE), dtype=np.uint8), image_id="noise")
    assert seen_lungs(noise) is None
    films = [film, noise]
    network, _ = build("small_cnn", size=64, widths=(4, 8), hidden=0, pretrained=False)

    def view(i: int) -> object:
        return view_of(films[i], network.preprocess, label=i, lungs=seen_lungs, markers=seen_markers)

    edits = ("no_lungs.boxed.inpaint", "marker.paste")
    table = collect(network, 2, view, {e: EDITS[e] for e in edits}, keys=["marked", "noise"])  # type: ignore[arg-type]
    assert table.masked_films("lungs") == 1 and len(table) == 2
    assert np.isfinite(table.scores["no_lungs.boxed.inpaint"]).tolist() == [True, False]


def test_the_note_names_what_made_the_masks(tmp_path: Path) -> None:
    *_, note = maskers(None, None)
    assert sha256_file(weights_path())[:12] in note and sha256_file(scorer_path())[:12] in note
    Image.fromarray(np.pad(np.full((4, 4), 255, np.uint8), 2)).save(tmp_path / "marked.png")
    lungs, marks, mixed = maskers(tmp_path, None)
    assert str(tmp_path) in mixed and mixed != note and marks is seen_markers
    assert lungs(from_array(np.zeros((8, 8), np.uint8), image_id="marked")).sum() == 16  # type: ignore[union-attr]
    assert maskers(tmp_path, None)[2] == mixed
    Image.fromarray(np.pad(np.eye(4, dtype=np.uint8) * 255, 2)).save(tmp_path / "marked.png")
    assert maskers(tmp_path, None)[2] != mixed, "corrected masks, under the same names, mean another journal"
