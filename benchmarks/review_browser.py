"""How soon a film is on screen in the review app, and what zoom and window cost, in headless Chromium.

    python benchmarks/review_browser.py [--width 3000] [--height 2500] [--turns 12] [--window 1920x1080]

Films are 12-bit DICOM of smooth noise with grain. "Film to film" is from the key (PgDn) to the frame after the next
film stands whole on the stage; it was fetched while the one before was looked at. "Two films at once": the same with
the patient's other film beside. A step of zoom or window: from one frame to the next, the film drawn anew between.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from radiolucent.readers.store_access import new_token
from radiolucent.web.open_study import StudyPlan, open_study
from radiolucent.web.serve import running
from support.browser import browsing
from support.study_server import make_run, write_dicom

# Watches for the frame in which another film stands whole on the stage.
TURN = """
const done = arguments[arguments.length - 1], began = performance.now(), beside = arguments[0];
const old = [...document.querySelectorAll('.stage')];
const there = (one) => { const e = document.querySelector(`${one}[data-whole]`); return e && !old.includes(e); };
const look = () => {
  if (!there('#stage') || (beside && !there('.beside'))) return requestAnimationFrame(look);
  requestAnimationFrame(() => done(performance.now() - began));
};
document.dispatchEvent(new KeyboardEvent('keydown', { key: 'PageDown', bubbles: true }));
requestAnimationFrame(look);
"""
FRAME = """
const done = arguments[arguments.length - 1], keys = arguments[0], times = [];
const step = (i) => {
  if (i === 12) return done(times);
  document.dispatchEvent(new KeyboardEvent('keydown', { key: keys[i % keys.length], bubbles: true }));
  requestAnimationFrame((began) => requestAnimationFrame(() => {
    times.push(performance.now() - began);
    step(i + 1);
  }));
};
step(0);
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=3000)
    parser.add_argument("--height", type=int, default=2500)
    parser.add_argument("--turns", type=int, default=12)
    parser.add_argument("--window", default="1920x1080")
    given = parser.parse_args()
    wide, tall = (int(n) for n in given.window.split("x"))
    shape = (given.height, given.width)
    with tempfile.TemporaryDirectory() as folder:
        root, rng = Path(folder), np.random.default_rng(0)
        for i in range(given.turns + 2):
            coarse = Image.fromarray(rng.uniform(400, 3600, (12, 15)).astype(np.float32))
            values = np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC)) + rng.normal(0, 12, shape)
            place = root / "films" / "test" / ("NORMAL", "PNEUMONIA")[i % 2] / f"{i}.dcm"
            write_dicom(place, np.clip(values, 0, 4095), PatientID=f"P{i // 2}", ViewPosition=("PA", "LL")[i % 2])
        plan = StudyPlan(make_run(root / "run"), root / "films", root / "study", "bench", methods=("gradcam",))
        context = open_study(plan, lambda *_: None).context
        with running(context) as address, browsing(root / "profile", width=wide, height=tall) as browser:
            reader = context.store.reader("reader")
            browser.driver.get(f"{address}/#{new_token(context.store, reader)}")
            browser.until("document.getElementById('next')")
            browser.click("#next")
            browser.until("document.querySelector('#stage[data-whole]')")
            browser.driver.set_script_timeout(60)
            rows: dict[str, list[float]] = {}
            for name, beside in (("film to film", False), ("two films at once", True)):
                if beside:
                    browser.press("y")
                for _ in range(given.turns // 2):
                    time.sleep(4)  # the reader looks; the next film is fetched
                    rows.setdefault(name, []).append(browser.driver.execute_async_script(TURN, beside))
            rows["a step of zoom"] = browser.driver.execute_async_script(FRAME, ["+", "-"])
            rows["a step of window"] = browser.driver.execute_async_script(FRAME, ["2", "3"])
        context.close()
    print(f"{given.width} × {given.height} × 12 bit in a window of {given.window}, {os.cpu_count()} cores, ", end="")
    print(f"Python {platform.python_version()}\n\n| what | n | median ms | slowest ms |\n|---|---|---|---|")
    for name, found in rows.items():
        print(f"| {name} | {len(found)} | {statistics.median(found):.0f} | {max(found):.0f} |")


if __name__ == "__main__":
    main()
