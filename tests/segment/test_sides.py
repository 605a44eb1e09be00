"""One mask, two lungs: side by side, touching, or not there."""

import numpy as np

from radiolucent.data.phantom.draw import draw
from radiolucent.segment.sides import two_lungs


def boxes(*spans: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    for top, bottom, left, right in spans:
        mask[top:bottom, left:right] = True
    return mask


def test_lungs_apart_and_lungs_that_touch() -> None:
    apart = two_lungs(boxes((5, 30, 5, 22), (5, 33, 35, 55), (2, 4, 50, 52)))  # and a speck
    assert apart is not None
    assert apart[0][:, :30].sum() == 25 * 17 and apart[1][:, 30:].sum() == 28 * 20 and not apart[0][:, 30:].any()
    touching = two_lungs(boxes((5, 30, 5, 25), (20, 25, 25, 35), (5, 33, 35, 55)))
    assert touching is not None and (touching[0] | touching[1]).sum() == 25 * 20 + 5 * 10 + 28 * 20
    assert touching[0][:, :25].all(1).sum() == 0 and touching[0].any() and not (touching[0] & touching[1]).any()
    film = draw(3, size=96)
    found = two_lungs(film.lungs)
    assert found is not None and (found[0] | found[1]).sum() > 0.95 * film.lungs.sum()


def test_what_is_not_sure_to_be_two_lungs_is_none() -> None:
    assert two_lungs(boxes()) is None
    assert two_lungs(boxes((5, 35, 5, 20))[:, :25]) is not None  # one block as wide as lungs that touch
    assert two_lungs(boxes((2, 12, 20, 40), (25, 35, 20, 40))) is None  # one above the other
