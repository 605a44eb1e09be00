"""Images a second in training: ours against Keras on TensorFlow, same network, batch, images and machine, one run.

    python -m venv .venv-keras && .venv-keras/bin/pip install tensorflow-cpu
    python benchmarks/train.py --keras-python .venv-keras/bin/python [--images FOLDER]

MobileNet v1 with random weights on 224 × 224 × 3 inputs in batches of 32, Adam, softmax cross entropy, no augmentation;
all layers learning, and with the first 34 of Keras' 92 layers frozen (up to `conv_dw_5_relu`). Both sides train one
epoch at a time, in turn, each in its own process; a ratio compares epochs that ran one after the other.

- cold: from JPEG files to the end of the first epoch. Ours decodes them all into its memory-mapped cache first; Keras
  decodes while it trains (`image_dataset_from_directory`, prefetching).
- warm: later epochs. Ours reads the cache, and with frozen layers what they gave; Keras reads `Dataset.cache()` in
  memory.

Compilation is not counted: Keras traces its graph on two batches beforehand.
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BATCH, SIZE = 32, 224
LAST_FROZEN = "conv_dw_5_relu"  # the 34th of the 92 layers that Keras counted when that recipe was written


def turns() -> Iterator[int]:
    """Epochs, each begun when the other side has finished its own: told so by a line on standard input."""
    for epoch in itertools.count():
        if not sys.stdin.readline().strip():
            return
        yield epoch


def tell(images: int, seconds: float) -> None:
    """Report one epoch."""
    print(json.dumps({"images": images, "seconds": seconds}), flush=True)


def ours(folder: Path, frozen: bool) -> None:
    """Our side: pixel cache, loader, `fit`."""
    import radiolucent.data as data
    from radiolucent.models import build
    from radiolucent.training import EpochResult, classic, fit

    classifier, _ = build("mobilenetv1", pretrained=False)
    dataset = data.load_dataset(folder)
    count = len(dataset.records)
    wait = turns()
    print("ready", flush=True)
    next(wait)
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        cache = data.build_cache(dataset.records, classifier.preprocess, Path(scratch) / "cache")
        decoding = time.perf_counter() - started
        train = data.Loader(cache, batch_size=BATCH, shuffle=True)
        val = data.Loader(cache, range(2), batch_size=2)

        def on_epoch(result: EpochResult) -> None:
            tell(count, count / result.images_per_second + (decoding if result.epoch == 1 else 0.0))
            if next(wait, None) is None:
                raise SystemExit

        config = classic(epochs=1000, freeze="34 layers" if frozen else "0", precision="32")
        fit(classifier, train, val, config, out=Path(scratch) / "run", on_epoch=on_epoch)


def keras(folder: Path, frozen: bool) -> None:
    """Keras' side: `image_dataset_from_directory`, `Model.fit`."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import tensorflow as tf

    base = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(base.output)
    model = keras.Model(base.input, keras.layers.Dense(2, activation="softmax")(pooled))
    if frozen:
        names = [layer.name for layer in model.layers]
        for layer in model.layers[: names.index(LAST_FROZEN) + 1]:
            layer.trainable = False
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    files = keras.utils.image_dataset_from_directory(
        folder, image_size=(SIZE, SIZE), batch_size=None, shuffle=True, seed=0, verbose=False
    )
    count = len(files)
    decoded = files.map(lambda x, y: (x / 127.5 - 1, y), num_parallel_calls=tf.data.AUTOTUNE).cache()
    batches = decoded.batch(BATCH).prefetch(tf.data.AUTOTUNE)
    noise = tf.data.Dataset.from_tensors((tf.zeros((BATCH, SIZE, SIZE, 3)), tf.zeros(BATCH, tf.int32))).repeat(2)
    model.fit(noise, verbose=0)
    print("ready", flush=True)
    for _ in turns():
        started = time.perf_counter()
        model.fit(batches, verbose=0)
        tell(count, time.perf_counter() - started)


def generate(folder: Path, count: int) -> None:
    """Smooth noise as JPEGs of a chest film's size and weight, in two classes."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for index in range(count):
        place = folder / ("NORMAL", "PNEUMONIA")[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 255, (40, 50), np.uint8))
        coarse.resize((1250, 1000), Image.Resampling.BICUBIC).save(place / f"{index}.jpeg", quality=90)


def subset(folder: Path, target: Path, count: int) -> None:
    """Links to the first `count` images of a folder of class folders, evenly."""
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        files = sorted(f for f in place.iterdir() if f.suffix.lower() in (".jpeg", ".jpg", ".png"))
        (target / place.name).mkdir(parents=True)
        for file in files[: count // 2]:
            (target / place.name / file.name).symlink_to(file.resolve())


def start(side: str, python: str, folder: Path, frozen: bool) -> subprocess.Popen[str]:
    """Start a side and wait until it is ready."""
    command = [python, __file__, "--side", side, "--images", str(folder)] + (["--frozen"] if frozen else [])
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        raise SystemExit(f"{side} did not start; run it by hand to see why: {' '.join(command)}")
    return process


def epoch(process: subprocess.Popen[str]) -> float:
    """Let a side train one epoch; returns images a second."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("go\n")
    process.stdin.flush()
    told: dict[str, Any] = json.loads(process.stdout.readline())
    return told["images"] / told["seconds"]


def compare(python: str, folder: Path, frozen: bool, rounds: int, epochs: int) -> dict[str, list[tuple[float, float]]]:
    """(ours, Keras) images a second of every pair of epochs, cold and warm."""
    found: dict[str, list[tuple[float, float]]] = {"cold": [], "warm": []}
    for turn in range(rounds):
        sides = [start("ours", sys.executable, folder, frozen), start("keras", python, folder, frozen)]
        for number in range(epochs):
            order = (0, 1) if (turn + number) % 2 == 0 else (1, 0)
            speeds = {index: epoch(sides[index]) for index in order}
            found["cold" if number == 0 else "warm"].append((speeds[0], speeds[1]))
            print(f"  {'cold' if number == 0 else 'warm'}: {speeds[0]:.1f} and {speeds[1]:.1f} images/s", flush=True)
        for process in sides:
            process.communicate()
    return found


def report(results: dict[bool, dict[str, list[tuple[float, float]]]]) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Training MobileNet v1, 224 px, batch 32: images a second (medians over paired epochs)")
    for name in ("frozen layers", "cache", "ours", "Keras", "ratio", "ratios from – to", "pairs"):
        table.add_column(name, justify="left" if name in ("frozen layers", "cache") else "right")
    for frozen, kinds in results.items():
        for kind, pairs in kinds.items():
            if not pairs:
                continue
            ratios = [a / b for a, b in pairs]
            table.add_row(
                "34 of 92" if frozen else "0",
                kind,
                f"{statistics.median(a for a, _ in pairs):.1f}",
                f"{statistics.median(b for _, b in pairs):.1f}",
                f"{statistics.median(ratios):.2f}",
                f"{min(ratios):.2f} – {max(ratios):.2f}",
                str(len(pairs)),
            )
    Console(width=110).print(table)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keras-python", help="a Python with tensorflow-cpu")
    parser.add_argument("--images", type=Path, help="folder CLASS/*.jpeg with two classes; generated unless given")
    parser.add_argument("--count", type=int, default=256, help="images an epoch")
    parser.add_argument("--rounds", type=int, default=2, help="how often both sides start afresh (cold)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs a round; the first is cold")
    parser.add_argument("--only", choices=("0", "34"), help="this number of frozen layers only")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--side", choices=("ours", "keras"), help=argparse.SUPPRESS)
    parser.add_argument("--frozen", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        return {"ours": ours, "keras": keras}[given.side](given.images, given.frozen)
    if not given.keras_python:
        parser.error("--keras-python PATH is needed: see the top of this file for how to make one")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "images"
        if given.images:
            subset(given.images, folder, given.count)
        else:
            generate(folder, given.count)
        results: dict[bool, dict[str, list[tuple[float, float]]]] = {}
        for frozen in (False, True):
            if given.only in (None, "34" if frozen else "0"):
                print(f"{'34' if frozen else '0'} layers frozen", flush=True)
                results[frozen] = compare(given.keras_python, folder, frozen, given.rounds, given.epochs)
    report(results)
    if given.json:
        figures = {("34" if frozen else "0"): kinds for frozen, kinds in results.items()}
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
