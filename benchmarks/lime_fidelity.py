"""How near LIME's coefficients come to those of many masks: lime's 1000 samples and ours, film by film.

    python benchmarks/lime_fidelity.py FOLDER [--run RUN] [--films 3] [--records FILE] [--samples 353 193]

A film's scores under 4,096 random masks (pairs of complements) and six of our designs are recorded once and kept in
`--records`; any estimator is then run on them for nothing. Printed is 1 − Pearson's r between an estimate's
coefficients and those of many masks that it does not share, the mean of several draws, and how often intervals of the
emulator's standard errors hold.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import radiolucent as rl
from radiolucent.explainers.lime.design import design
from radiolucent.explainers.lime.emulator import emulate
from radiolucent.explainers.lime.fit import closeness, fit_emulated, fit_ridge
from radiolucent.explainers.perturbation.copies import filled, grey_of, hide_pieces
from radiolucent.explainers.perturbation.superpixels import places, segment

Floats = NDArray[np.float64]
Masks = NDArray[np.bool_]
PAIRS, DESIGNS, LARGEST = 2048, 6, 353


def recorded(clf: rl.Classifier, film: rl.Radiograph) -> dict[str, NDArray[np.generic]]:
    """Masks (1 + 2 · 2048 + 6 · 353, d), the positive class's logits, and the superpixels' centres."""
    x = clf.preprocess(film)[None]
    segments = segment(grey_of(clf, x), "quickshift", 0)
    pieces = int(segments.max()) + 1
    half = np.random.default_rng(999).random((PAIRS, pieces)) < 0.5
    pairs = np.stack([half, ~half], axis=1).reshape(-1, pieces)
    ours = [design(pieces, LARGEST, "balanced", np.random.default_rng(seed)) for seed in range(DESIGNS)]
    masks = np.concatenate([np.ones((1, pieces), bool), pairs, *ours])
    compose = hide_pieces(x, filled(clf, x, None, segments), segments, masks)
    parts = [clf.logits(compose(slice(a, min(a + 32, len(masks))))) for a in range(0, len(masks), 32)]
    return {"masks": masks, "scores": torch.cat(parts)[:, -1].double().numpy(), "centres": places(segments)}


def close(masks: Masks) -> Floats:
    """lime's weights."""
    return closeness(masks, "cosine", 0.25)


def ridge(masks: Masks, scores: Floats) -> Floats:
    """Coefficients by lime's own regression."""
    return fit_ridge(masks, scores, close(masks)).coefficients


def apart(found: Floats, truth: Floats) -> float:
    return 1 - float(np.corrcoef(found, truth)[0, 1])


def of_lime(masks: Masks, scores: Floats, draws: int = 8) -> float:
    """lime's 1000 samples: the film and 999 masks, one of a pair; the truth by all others."""
    first, rng = 1 + PAIRS, np.random.default_rng(1)
    others = np.r_[0, first : len(masks)]
    truth = ridge(masks[others], scores[others])
    found: list[float] = []
    for _ in range(draws):
        rows = np.r_[0, 1 + 2 * rng.permutation(PAIRS // 2)[:999] + rng.integers(0, 2, 999)]
        found.append(apart(ridge(masks[rows], scores[rows]), truth))
    return float(np.mean(found))


def of_ours(masks: Masks, scores: Floats, centres: Floats, samples: int) -> tuple[float, float, float]:
    """By plain regression and by the emulator, the mean over the designs; the truth by the random masks.

    Last, how many of the truth's coefficients lie within 1.96 of the emulator's standard errors.
    """
    many = slice(0, 1 + 2 * PAIRS)
    truth, found = ridge(masks[many], scores[many]), np.zeros((DESIGNS, 3))
    for seed in range(DESIGNS):
        start = 1 + 2 * PAIRS + LARGEST * seed
        own, given = masks[start : start + samples], scores[start : start + samples]
        emulated = emulate(own, [given], centres, np.random.default_rng(seed))[0]
        fit = fit_emulated(own, given, emulated, close)
        held = np.abs(fit.coefficients - truth) < 1.96 * fit.errors
        found[seed] = apart(ridge(own, given), truth), apart(fit.coefficients, truth), held.mean()
    plain, emulator, coverage = found.mean(0).tolist()
    return plain, emulator, coverage


def main() -> None:
    """Record what is missing, print a line a film."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", default="box")
    parser.add_argument("--films", type=int, default=3)
    parser.add_argument("--samples", type=int, nargs="+", default=[353, 193])
    parser.add_argument("--records", type=Path, default=Path("lime-records.npz"))
    options = parser.parse_args()
    if wrong := [n for n in options.samples if not 33 <= n <= LARGEST or n % 2 == 0]:
        parser.error(f"--samples {wrong}: an odd number from 33 to {LARGEST}: the film and pairs")
    kept = dict(np.load(options.records)) if options.records.exists() else {}
    clf = rl.load(options.run)
    files = sorted(options.folder.rglob("*.jp*g"))
    for k, file in enumerate(files[:: max(1, len(files) // options.films)][: options.films]):
        of = f"{file.name} by {clf.hash}"
        if str(kept.get(f"of{k}", of)) != of:
            parser.error(f"{options.records} holds {kept[f'of{k}']}, not {of}: give another --records")
        if f"masks{k}" not in kept:
            kept |= {f"{name}{k}": value for name, value in recorded(clf, rl.read(file)).items()}
            kept[f"of{k}"] = np.array(of)
            np.savez_compressed(options.records, **kept)
        masks, scores, centres = (kept[f"{name}{k}"] for name in ("masks", "scores", "centres"))
        told = [f"lime 1000 {of_lime(masks, scores):.4f}"]
        for samples in options.samples:
            plain, emulator, held = of_ours(masks, scores, centres, samples)
            told.append(f"{samples} samples: ridge {plain:.4f}, emulator {emulator:.4f} (intervals hold {held:.0%})")
        print(f"{file.name}, {masks.shape[1]} superpixels, 1 − r: {'; '.join(told)}", flush=True)


if __name__ == "__main__":
    main()
