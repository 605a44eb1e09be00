"""Limits of the signs of distrust from validation films, figures on held-out films, and the card."""

import hashlib
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from lungs_data import mask_path, vary, with_heart
from radiolucent.data.phantom import draw
from radiolucent.data.records import Record
from radiolucent.files import sha256_file, write_text
from radiolucent.images import from_array, read
from radiolucent.metrics import auroc, bootstrap, wilson
from radiolucent.metrics.resample import cluster_bootstrap_mean
from radiolucent.segment import LungMask, Segmenter, lungs_of
from radiolucent.segment.distrust import EXPECTED, FLOOR, SIGNS, Expectation
from radiolucent.types import Radiograph

__all__ = ["Case", "calibrate", "expectation", "measure", "spoilt", "surfaces", "twice_outlined", "write_card"]

TAIL = 0.005
"""Share of validation films beyond each limit, before the limits are widened by `SLACK` of their range."""
SLACK = 0.1
LOW = 0.9
"""Dice below which a mask is called a failure."""
ALARMS = 0.02
"""Share of validation films with no failure that may lie below the limit of the expected Dice."""
COPIES, RIDGE = 4, 1.0
"""Varied copies of every validation film from which the expected Dice is learnt, and the weight of its ridge."""
UNKNOWN = Expectation({"1": 0.0}, {})


class Case(NamedTuple):
    """One film: what was found, and how well it agrees with its mask (distances in the film's pixels)."""

    record: Record
    found: LungMask
    dice: float
    hd95: float
    assd: float


def dice_of(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Dice of two masks; 1 where both are empty."""
    total = float(a.sum() + b.sum())
    return 2 * float((a & b).sum()) / total if total else 1.0


def surfaces(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> tuple[float, float]:
    """HD95 and ASSD of two masks in pixels; not-a-number where one is empty.

    The distances of each outline's pixels to the other outline: HD95 is the larger of the two 95th percentiles, ASSD
    the mean over the pixels of both.
    """
    if not (a.any() and b.any()):
        return float("nan"), float("nan")
    one, other = (m & ~np.asarray(ndimage.binary_erosion(m), bool) for m in (a, b))
    there = np.asarray(ndimage.distance_transform_edt(~other))[one]
    back = np.asarray(ndimage.distance_transform_edt(~one))[other]
    far = max(float(np.quantile(there, 0.95)), float(np.quantile(back, 0.95)))
    return far, float(np.concatenate([there, back]).mean())


def mask_of(data: Path, record: Record, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A film's mask, in the film's pixels."""
    with Image.open(mask_path(data, record)) as image:
        return np.asarray(image.convert("L").resize(shape[::-1], Image.Resampling.NEAREST)) > 127


def measure(
    segmenter: Segmenter, records: Sequence[Record], data: Path, progress: Callable[[int, int], None]
) -> list[Case]:
    """Every film against its mask, in the film's own pixels."""
    cases: list[Case] = []
    for record, found in zip(records, lungs_of((read(r.path) for r in records), segmenter=segmenter), strict=True):
        true = mask_of(data, record, found.pixels.shape)
        cases.append(Case(record, found, dice_of(found.pixels, true), *surfaces(found.pixels, true)))
        progress(len(cases), len(records))
    return cases


def varied(segmenter: Segmenter, records: Sequence[Record], data: Path) -> list[tuple[LungMask, float]]:
    """`COPIES` varied copies of each film with their Dice; those that variation leaves without lungs are left out."""
    films = [read(r.path) for r in records]
    side = max(films[0].shape)
    found: list[tuple[LungMask, float]] = []
    for k in range(COPIES):
        rng = torch.Generator().manual_seed(9000 + k)
        for start in range(0, len(films), 32):
            some = slice(start, start + 32)
            grey = [
                np.asarray(Image.fromarray((f.pixels * 255).astype(np.uint8)).resize((side, side))) for f in films[some]
            ]
            true = [mask_of(data, r, (side, side)).astype(np.uint8) * 255 for r in records[some]]
            x, y = vary(torch.from_numpy(np.stack(grey)), torch.from_numpy(np.stack(true)), side, rng)
            masks = segmenter.batch([from_array(film) for film in x[:, 0].numpy()])
            for mask, target in zip(masks, y.numpy() >= 0.5, strict=True):
                if target.any():
                    found.append((mask, dice_of(mask.pixels, target.repeat(2, 0).repeat(2, 1))))
    return found


def expectation(cases: Sequence[Case], copies: Sequence[tuple[LungMask, float]]) -> Expectation:
    """The expected Dice, fitted by ridge regression: the films as they are weigh as much as all their copies."""
    pairs = [(c.found.signs, c.dice) for c in cases] + [(m.signs, d) for m, d in copies]
    ranges = {name: (min(s[name] for s, _ in pairs), max(s[name] for s, _ in pairs)) for name in SIGNS}
    bare = Expectation({}, ranges)
    rows = [bare.terms(s) for s, _ in pairs]
    x = np.array([list(row.values()) for row in rows])
    y = np.log(1 - np.array([d for _, d in pairs]) + FLOOR)
    w = np.sqrt([max(1.0, len(copies) / len(cases))] * len(cases) + [1.0] * len(copies))
    middle, spread = x.mean(0), x.std(0) + 1e-9
    middle[0], spread[0] = 0.0, 1.0
    z = (x - middle) / spread
    ridge = RIDGE * np.eye(x.shape[1])
    ridge[0, 0] = 0
    beta = np.linalg.solve((z * w[:, None]).T @ (z * w[:, None]) + ridge, (z * w[:, None]).T @ (y * w)) / spread
    beta[0] -= float(beta[1:] @ middle[1:])
    return Expectation({name: float(f"{b:.6g}") for name, b in zip(rows[0], beta, strict=True)}, ranges)


def calibrate(cases: Sequence[Case], expected: Expectation) -> dict[str, tuple[float, float]]:
    """Limits of every sign from validation films: nearly all of them lie within.

    That of the expected Dice is the highest at which `ALARMS` of the films that are no failures are distrusted.
    """
    values = {name: np.array([c.found.signs[name] for c in cases]) for name in SIGNS}
    limits: dict[str, tuple[float, float]] = {}
    for name, v in values.items():
        low, high = (float(q) for q in np.quantile(v, [TAIL, 1 - TAIL]))
        slack = SLACK * (high - low)
        if name == "parts":
            limits[name] = (1.0 if (v == 1).mean() > TAIL else 2.0, 2.0)
        elif name in ("doubt", "mirror"):
            limits[name] = (0.0, round(high + slack, 4))
        else:
            limits[name] = (round(max(0.0, low - slack), 4), round(high + slack, 4))
    good = [expected(c.found.signs) for c in cases if c.dice >= LOW]
    limits[EXPECTED] = (round(float(np.quantile(good, ALARMS)), 4), 1.0)
    return limits


def twice_outlined(records: Sequence[Record], data: Path) -> list[tuple[Record, float, float, float]]:
    """Films of which the same bytes come with two masks: Dice, HD95 and ASSD of each pair, under the first's record.

    How far two people's outlines of one film differ, and so what a network can be expected to reach.
    """
    same: dict[str, list[Record]] = {}
    for record in records:
        same.setdefault(hashlib.sha256(record.path.read_bytes()).hexdigest(), []).append(record)
    found: list[tuple[Record, float, float, float]] = []
    for group in same.values():
        masks = [mask_of(data, r, (224, 224)) for r in group]
        for (i, a), (_, b) in combinations(enumerate(masks), 2):
            found.append((group[i], dice_of(a, b), *surfaces(a, b)))
    return found


def spoilt(segmenter: Segmenter, films: Sequence[Radiograph]) -> dict[str, int]:
    """How many masks are distrusted when films are turned upside down, laid on their side, or replaced by noise."""
    rng = np.random.default_rng(3)
    ways: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {
        "upside down": lambda p: np.ascontiguousarray(p[::-1, ::-1]),
        "on its side": lambda p: np.ascontiguousarray(np.rot90(p)),
        "noise": lambda p: rng.random(p.shape, np.float32),
        "black": np.zeros_like,
    }
    return {
        name: sum(not m.trusted for m in lungs_of((from_array(way(f.pixels)) for f in films), segmenter=segmenter))
        for name, way in ways.items()
    }


def phantom_dice(segmenter: Segmenter, count: int) -> tuple[list[float], int]:
    """Dice on phantoms no training has drawn (hearts included), and how many are distrusted."""
    films = [
        draw(np.random.default_rng([4711, i]), pneumonia=bool(i % 2), marker="R", site=i % 3) for i in range(count)
    ]
    found = list(lungs_of((from_array(f.pixels.astype(np.float32) / 255) for f in films), segmenter=segmenter))
    scores = [dice_of(m.pixels, with_heart(f.lungs)) for m, f in zip(found, films, strict=True)]
    return scores, sum(not m.trusted for m in found)


CARD = """# Card: lung segmenter

`rl.lungs(film)` outlines both lungs, with the heart's shadow, from the apex to the diaphragm: the convention of the
masks it learnt from. A U-Net of {parameters:,} weights in half precision ({size:.0f} kB), trained from scratch by
`scripts/train_lungs.py` (seed {seed}); no weights of anyone else. **Research use, not for diagnosis.**

Weights: `segment/lungs.safetensors`, SHA-256 `{digest}`

## Data

- Films: D. Kermany, K. Zhang, M. Goldbaum, *Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for
  Classification*, Mendeley Data, doi 10.17632/rscbjbr9sj, **CC BY 4.0**. Children of 1 to 5 years, one hospital; copies
  of 224 × 224 pixels whose aspect ratio is lost.
- Masks: V7 Labs, *COVID-19 X-ray dataset*, **CC BY 4.0**: polygons reviewed by people. Matched to the films by shape
  and order, so that a handful may belong to another film; {left_out} training films whose mask had Dice below {match}
  with the network's own at {check:.0%} of the course taught nothing from then on. None is left out of what is
  measured.
- {phantoms} phantoms (`radiolucent.data.phantom`), their lung fields filled to the spine to follow the same convention.
- Split by patient: {train} films to train, {val} to fix the limits below, {test} held out.

Recipe: {recipe}. Affine variation with strong stretch, mirroring, black bars, letters, rectangles, gamma, contrast, a
smooth bias, blur, noise; one film in sixteen spoilt (turned, noise) with an empty target.

## Held-out films

| | value |
|---|---|
| Dice, mean over films | {dice} |
| Dice, NORMAL | {dice_normal} |
| Dice, PNEUMONIA | {dice_pneumonia} |
| Dice, lower decile | {decile} |
| HD95, pixels of 224 | {hd95} |
| HD95, share of the side | {hd95_share} |
| ASSD, pixels of 224 | {assd} |
| ASSD, share of the side | {assd_share} |
| films below {low} | {failures} |
| AUROC of the expected Dice for Dice below {low} | {auroc} |
| expected Dice less Dice, mean | {gap} |
| expected Dice less Dice, mean of the size | {miss} |
| distrusted | {flagged} |
| Dice of the distrusted | {dice_flagged} |
| Dice of the trusted | {dice_trusted} |
| distrusted among those below {low} | {caught} |
| distrusted among the others | {alarms} |
| Dice on {drawn} phantoms | {dice_phantoms} |

Intervals are 95 % bootstraps over patients (Wilson for shares, DeLong over patients for the AUROC); they do not cover
what follows. HD95 is the larger of the two 95th percentiles of an outline's distances to the other, ASSD the mean of
all of them.

**These films have been looked at three times.** An earlier network reached 0.948 (0.946–0.950) on them and, after 90
further steps that were added because of that figure, 0.950 (0.947–0.952). This network was trained anew and everything
about it chosen on the validation films; then these films were measured once.

**What limits Dice.** {pairs} pairs of films of the data set are the same bytes under two names and were outlined twice.
The two masks of a pair agree with Dice {pair_dice}, HD95 {pair_hd95} pixels and ASSD {pair_assd} pixels (intervals over
patients). Some outlines may have been copied, so people may differ by more.
On most of the twenty worst films network and person part at the diaphragm or in opaque lung: some masks end at the dome
that is seen, others lower, where the lung goes on behind it.

On the validation films (`scripts/lungs_limits.py`, 386 films of 233 children), where Dice is 0.954 (0.952–0.956):

- Resolution does not limit it: the person's own mask through the network's 64 × 64 cells and back has 0.993.
- Nor does the threshold, of which 0.5 is the best, or an offset: no outline moved by a pixel is better. A threshold
  chosen for each film with its mask known would give 0.958 (0.956–0.960).
- Of the wrong pixels 39 % lie in the lowest quarter of the lungs, at the diaphragm, and 46 % above it in the middle
  half, toward the spine and the mediastinum.
- A larger network and more pixels help little. One of 960,740 weights, most of them at 1/8 and 1/16 of the side, was
  trained for 20 epochs, half of them at side 96: 0.954 (0.952–0.956), which is 0.001 (0.000–0.001) less. It agrees with
  the shipped one by 0.989 (0.988–0.989), far better than either does with the masks; the mean of both gains nothing.
  Three more epochs with films little moved make it 0.0006 (0.0001–0.0010) better than the shipped one, and at side 160
  in place of 128 0.0012 (0.0007–0.0018) better: 0.956 (0.954–0.958). It is not shipped: at 160 it takes about twice the
  time.

The ten worst, where a wrong match of film and mask cannot be told from a failure of the network by the figure alone:

| film | Dice | expected | distrusted because |
|---|---|---|---|
{worst}

## When it does not trust itself

`signs` need no truth. The expected Dice combines them: log(1 − Dice) as a quadratic of their logarithms, fitted on the
validation films and {copies} varied copies of each. It describes films like these, and nobody has shown that it holds
elsewhere. A mask is distrusted where the expected Dice is below {expected_limit:.3g}, the limit that distrusts
{false_alarms:.0%} of the validation films whose Dice is not below {low}; or where a single sign is outside limits that
all but about {tail:.1%} of validation films keep on each side, widened by a tenth: {limits}.

| film | distrusted |
|---|---|
{spoilt}

## Limits

Trained on children's frontal films at 224 pixels and on phantoms. Not measured on adults, other hospitals, lateral
films or films of full resolution; the variation is meant to help there, and nobody has shown that it does. Lungs that
are white all over are outlined by guess, as in the masks. Speed: `benchmarks/lungs.py`.
"""


def write_card(
    path: Path,
    segmenter: Segmenter,
    cases: Sequence[Case],
    pairs: Sequence[tuple[Record, float, float, float]],
    turned: dict[str, int],
    count: int,
    facts: dict[str, object],
    weights: Path,
) -> list[str]:
    """Write the card; give its table of figures."""
    dice, hd95, assd = (np.array([getattr(c, n) for c in cases]) for n in ("dice", "hd95", "assd"))
    patients = [str(c.record.patient_id) for c in cases]
    trusted = np.array([c.found.trusted for c in cases])
    expected = np.array([c.found.expected_dice for c in cases])
    normal = np.array(["NORMAL" in c.record.image_id for c in cases])
    bad, every = dice < LOW, np.ones(len(dice), bool)
    side = max(cases[0].found.pixels.shape)
    drawn, doubted = phantom_dice(segmenter, 100)

    def mean(values: NDArray[np.float64], keep: NDArray[np.bool_] = every) -> str:
        if not keep.any():
            return "not applicable (none)"
        names = [p for p, k in zip(patients, keep, strict=True) if k]
        return str(cluster_bootstrap_mean(values[keep], names, scale="plain"))

    def share(part: NDArray[np.bool_], of: NDArray[np.bool_] = every) -> str:
        return str(wilson(int((part & of).sum()), int(of.sum())))

    worst = [cases[i] for i in np.argsort(dice)[:10]]
    people = [str(r.patient_id) for r, *_ in pairs]
    twice = [str(cluster_bootstrap_mean([p[i] for p in pairs], people, scale="plain")) for i in (1, 2, 3)]
    values = {
        "dice": mean(dice),
        "dice_normal": mean(dice, normal),
        "dice_pneumonia": mean(dice, ~normal),
        "decile": str(bootstrap(lambda w: _quantile(dice, w, 0.1), patients, folds=2000)),
        "hd95": mean(hd95),
        "hd95_share": mean(hd95 / side),
        "assd": mean(assd),
        "assd_share": mean(assd / side),
        "failures": share(bad),
        "auroc": str(auroc(bad.astype(int), -expected, groups=patients)),
        "gap": mean(expected - dice),
        "miss": mean(np.abs(expected - dice)),
        "flagged": share(~trusted),
        "dice_flagged": mean(dice, ~trusted),
        "dice_trusted": mean(dice, trusted),
        "caught": share(~trusted, bad),
        "alarms": share(~trusted, ~bad),
        "dice_phantoms": f"{cluster_bootstrap_mean(drawn)}; {doubted} distrusted",
        "pairs": str(len(pairs)),
        **dict(zip(("pair_dice", "pair_hd95", "pair_assd"), twice, strict=True)),
    }
    rows = [
        f"| `{c.record.image_id}` | {c.dice:.3f} | {c.found.expected_dice:.3f} | "
        f"{'; '.join(c.found.reasons) or 'trusted'} |"
        for c in worst
    ]
    limits = [f"{k} {low:.3g} to {high:.3g}" for k, (low, high) in segmenter.limits.items() if k != EXPECTED]
    text = CARD.format(
        **values,
        **facts,
        parameters=sum(p.numel() for p in segmenter.network.parameters()),
        size=weights.stat().st_size / 1000,
        digest=sha256_file(weights),
        low=LOW,
        drawn=len(drawn),
        worst="\n".join(rows),
        tail=TAIL,
        copies=COPIES,
        false_alarms=ALARMS,
        expected_limit=segmenter.limits[EXPECTED][0],
        limits="; ".join(limits),
        spoilt="\n".join(f"| held-out film, {name} | {wilson(k, count)} |" for name, k in turned.items()),
    )
    write_text(path, text)
    return [f"{name}: {value}" for name, value in values.items()]


def _quantile(values: NDArray[np.float64], weights: NDArray[np.float64], q: float) -> NDArray[np.float64]:
    """Weighted quantile of values (N,) for each row of weights (folds, N)."""
    order = np.argsort(values)
    total = np.cumsum(weights[:, order], axis=1)
    return values[order][(total >= q * total[:, -1:]).argmax(1)]
