"""The clock of attention, run in Chromium on a clock and a visibility of the test's own."""

from pathlib import Path

import radiolucent.web
from support.browser import Browser

FILE = Path(radiolucent.web.__file__).parent / "static" / "attention.js"
SCENE = """
let now = 0, shown = "visible";
const heard = {};
const performance = { now: () => now };
const document = {
  get visibilityState() { return shown; },
  addEventListener: (name, call) => { heard[name] = call; },
};
const wait = (seconds) => { now += 1000 * seconds; };
const turn = (state) => { shown = state; heard.visibilitychange(); };
"""


def test_only_time_in_view_counts(browser: Browser) -> None:
    code = (
        SCENE
        + FILE.read_text().replace("export class", "class")
        + """
const clock = new Attention(), said = [];
wait(10); turn("hidden"); said.push(clock.take());
wait(30); said.push(clock.take());
wait(5); turn("visible"); wait(7); heard.keydown(); said.push(clock.take());
wait(500); said.push(clock.take());
heard.keydown(); clock.pause(true); wait(20); clock.pause(false); wait(3); said.push(clock.take());
return said;
"""
    )
    assert browser.run(code) == [10, 0, 7, 60, 3]
