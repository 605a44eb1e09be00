"""How far KernelSHAP's values are from the Shapley values, at equal passes: ours by both estimators, and shapiq's.

    python benchmarks/kernelshap.py FOLDER [--run RUN] [--films 6] [--tables FILE] [--draws 8]

Films are cut into about 13 superpixels, so that all coalitions can be asked once (8,192 passes a film, kept in
`--tables`): the Shapley values are then known exactly, and an estimator is run on any number of draws for nothing.
Printed is the mean squared error over pieces and draws, as a multiple of that of leverage sampling with regression,
a film and over all films (the mean of the films' multiples, with its range).
"""

import argparse
import sys
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import radiolucent as rl
from radiolucent.explainers.kernelshap import shapley_fit
from radiolucent.explainers.kernelshap_emulator import odd_values
from radiolucent.explainers.perturbation.coalitions import coalitions
from radiolucent.explainers.perturbation.copies import filled, grey_of, hide_pieces
from radiolucent.explainers.perturbation.superpixels import places, segment

Floats = NDArray[np.float64]
SAMPLES = (120, 300, 600)


def all_masks(pieces: int) -> NDArray[np.bool_]:
    return (np.arange(2**pieces)[:, None] >> np.arange(pieces) & 1).astype(bool)


def table(clf: rl.Classifier, film: rl.Radiograph) -> tuple[NDArray[np.int32], Floats]:
    """Superpixels, and the logit of the positive class for every coalition, by its bits."""
    x = clf.preprocess(film)[None]
    for count in (15, 16, 17, 18, 14, 13, 12):
        segments = segment(grey_of(clf, x), "slic", 0, {"n_segments": count})
        if 11 <= segments.max() + 1 <= 13:
            break
    masks = all_masks(int(segments.max()) + 1)
    compose = hide_pieces(x, filled(clf, x, None, segments), segments, masks)
    parts = [clf.logits(compose(slice(a, min(a + 64, len(masks))))) for a in range(0, len(masks), 64)]
    return segments, torch.cat(parts)[:, -1].double().numpy()


def shapley(scores: Floats) -> Floats:
    """The values by their definition."""
    pieces = int(np.log2(len(scores)))
    masks, found = all_masks(pieces), np.zeros(pieces)
    for i in range(pieces):
        without = np.flatnonzero(~masks[:, i])
        weights = np.array([1 / (pieces * comb(pieces - 1, s)) for s in range(pieces)])[masks[without].sum(1)]
        found[i] = weights @ (scores[without | 1 << i] - scores[without])
    return found


def errors(segments: NDArray[np.int32], scores: Floats, samples: int, draws: int) -> dict[str, float]:
    """Mean squared error of each estimator."""
    sys.modules.setdefault("coverage", None)  # type: ignore[arg-type]  # coverage.py here is not what numba looks for
    from shapiq.approximator import KernelSHAP

    pieces, truth = int(np.log2(len(scores))), shapley(scores)
    whole, empty, bits = float(scores[-1]), float(scores[0]), 1 << np.arange(pieces)
    found: dict[str, list[float]] = {}
    for draw in range(draws):
        drawn = coalitions(pieces, samples, "leverage", np.random.default_rng(draw))
        given = scores[drawn.masks @ bits]
        values = shapley_fit(drawn, given, whole, empty)[0]
        theirs: Any = KernelSHAP(n=pieces, random_state=draw).approximate(
            samples + 2, lambda masks: scores[np.asarray(masks, int) @ bits]
        )
        for name, each in (
            ("regression", values),
            ("emulator", odd_values(drawn.masks, given, whole, empty, places(segments), values)[0]),
            ("shapiq", theirs.get_n_order_values(1)),
        ):
            found.setdefault(name, []).append(float(np.square(each - truth).mean()))
    return {name: float(np.mean(squares)) for name, squares in found.items()}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", default="box")
    parser.add_argument("--films", type=int, default=6)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--tables", type=Path, default=Path("kernelshap-tables.npz"))
    options = parser.parse_args()
    kept = dict(np.load(options.tables)) if options.tables.exists() else {}
    clf = rl.load(options.run)
    files = sorted(options.folder.rglob("*.jp*g"))
    for k, file in enumerate(files[:: max(1, len(files) // options.films)][: options.films]):
        if f"z{k}" not in kept:
            kept[f"seg{k}"], kept[f"z{k}"] = table(clf, rl.read(file))
            np.savez(options.tables, **kept)
    for samples in SAMPLES:
        ratios: dict[str, list[float]] = {}
        for k in range(options.films):
            found = errors(kept[f"seg{k}"], kept[f"z{k}"], samples, options.draws)
            for name in ("emulator", "shapiq"):
                ratios.setdefault(name, []).append(found[name] / found["regression"])
        told = (f"{name} {np.mean(r):.2f} ({min(r):.2f}–{max(r):.2f})" for name, r in ratios.items())
        print(
            f"{samples} coalitions, {options.films} films: {', '.join(told)} × regression's squared error", flush=True
        )


if __name__ == "__main__":
    main()
