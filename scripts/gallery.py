"""Draw docs/images/gallery.webp and docs/explanation/gallery.md: every method on one film of the phantom.

python scripts/gallery.py
"""

import io
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import radiolucent as rl
from radiolucent.data.phantom import draw
from radiolucent.errors import ExplainError
from radiolucent.explainers import METHODS
from radiolucent.figures import to_png
from radiolucent.figures.display import overlay
from radiolucent.types import Explanation

DOCS = Path(__file__).parents[1] / "docs"
COLUMNS, SEED = 5, 3
TEXT = """# Gallery: every method on one film

The film is drawn ([the phantom](phantom.md)), with an opacity in one lung; the network is the small CNN of `make demo`.
The maps explain its logit for PNEUMONIA. Warm colours speak for it, blue ones against it. Not shown, because they do
not apply to this network: {others}. `python scripts/gallery.py runs/demo` draws this page.

**A plausible map is no evidence.** What each method costs stands in [which method answers what](methods.md); whether a
map deserves belief, in [when to trust a map](trust.md).

![{alt}](../images/gallery.webp)

| method | what it answers | where it misleads |
|---|---|---|
{rows}
"""


def maps(clf: rl.Classifier, film: rl.Radiograph) -> dict[str, Explanation]:
    """Every method's map by its name; methods for other kinds of network are left out."""
    found: dict[str, Explanation] = {}
    for name, method in METHODS.items():
        try:
            found[name] = rl.explain(clf, film, method(), target="PNEUMONIA")
        except ExplainError as error:
            print(f"{name}: {error}")
    return found


def picture(grey: NDArray[np.float32], found: dict[str, Explanation]) -> Image.Image:
    """The film and every map over it, with their names."""
    rows = -(-(len(found) + 1) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(10, 2.25 * rows), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    axes.flat[0].imshow(grey, cmap="gray", vmin=0, vmax=1)
    axes.flat[0].set_title("the film", fontsize=10)
    for axis, e in zip(axes.flat[1:], found.values(), strict=False):
        axis.imshow(overlay(grey, e.map, signed=e.signed))
        axis.set_title(e.title, fontsize=10)
    return Image.open(io.BytesIO(to_png(figure, dpi=110))).convert("RGB")


def main() -> None:
    """Draw both."""
    clf = rl.load(sys.argv[1])
    film = rl.from_array(draw(SEED, size=512, pneumonia=True, subtle=0.0).pixels, image_id="phantom")
    found = maps(clf, film)
    picture(clf.preprocess.resize(film), found).save(DOCS / "images" / "gallery.webp", quality=80)
    names = [METHODS[name] for name in found]
    rows = "\n".join(f"| {m.title} | {m.answers} | {m.misleads} |" for m in names)
    others = ", ".join(m.title for name, m in METHODS.items() if name not in found)
    alt = f"A drawn film and {len(found)} methods' maps of it"
    (DOCS / "explanation" / "gallery.md").write_text(TEXT.format(alt=alt, rows=rows, others=others), encoding="utf-8")


if __name__ == "__main__":
    main()
