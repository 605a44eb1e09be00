"""How quickly the review app answers, and what it holds in memory, with many cases and several readers.

    python benchmarks/review.py [--cases 1000] [--readers 10] [--width 3000] [--height 2500] [--opens 12] [--think 8]

The films are smooth noise of 12 bits with grain, the network is untrained: neither matters for the time. All readers
work at once, each from a thread of its own, over HTTP on this machine, and look at each film for `--think` seconds
(drawn between half and one and a half of it); reading a real film takes several times as long. As in the browser, the
next film is fetched while one is looked at. A case is "open" when its data and the film's description have arrived.
Times include what the machine does besides; memory is the resident set of the server, a process of its own.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from radiolucent.files import sha256_file
from radiolucent.models import build, save
from radiolucent.readers.store import Store
from radiolucent.readers.store_access import new_token
from radiolucent.readers.store_values import Case

SERVER = """
import sys
from pathlib import Path
from radiolucent.web.open_study import StudyPlan, open_study
from radiolucent.web.serve import run
root = Path(sys.argv[1])
plan = StudyPlan(root / "run", root / "films", root / "study", "bench", methods=("gradcam",), stamps=False)
opened = open_study(plan, lambda *_: None)
run(opened.context, 0, lambda at: print(at, flush=True))
"""


def prepare(root: Path, cases: int, shape: tuple[int, int], readers: int) -> list[str]:
    """Films (of ten different contents), an untrained network, and a study; tokens of the readers."""
    rng = np.random.default_rng(0)
    (root / "films").mkdir()
    for i in range(min(cases, 10)):
        coarse = Image.fromarray(rng.uniform(400, 3600, (12, 15)).astype(np.float32))
        smooth = np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC)) + rng.normal(0, 12, shape)
        Image.fromarray(np.clip(smooth, 0, 4095).astype(np.uint16)).save(root / "films" / f"{i}.png", compress_level=1)
    (root / "run").mkdir()
    classifier, _ = build("small_cnn", pretrained=False, size=128)
    save(classifier, root / "run")
    store = Store(root / "study" / "study.db")
    facts = {
        "name": "bench",
        "seed": 0,
        "classes": list(classifier.class_names),
        "model": classifier.hash,
        "key": "bench",
    }
    store.describe(facts | {"complete": True})
    hashes = [sha256_file(root / "films" / f"{i}.png") for i in range(min(cases, 10))]
    names = [str((root / "films" / f"{i}.png").resolve()) for i in range(len(hashes))]
    store.add_cases(
        Case(f"{i:012x}", f"{i}", names[i % 10], f"p{i}", classifier.class_names[i % 2], shape, hashes[i % 10])
        for i in range(cases)
    )
    tokens = [new_token(store, store.reader(f"reader {n}")) for n in range(readers)]
    store.close()
    return tokens


class Reader:
    """One reader's browser."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.link = port, HTTPConnection("127.0.0.1", port, timeout=600)
        self.headers = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
        self.times: dict[str, list[float]] = {}
        self.chance = random.Random(token)
        _, headers, content = self.ask("sign in", "POST", "/api/session", {"token": token})
        self.headers |= {"Cookie": headers["set-cookie"].split(";")[0], "X-Reader": json.loads(content)["key"]}

    def ask(self, what: str, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], bytes]:
        start = time.perf_counter()
        self.link.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = self.link.getresponse()
        found = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        if answer.status < 300:
            self.times.setdefault(what, []).append(time.perf_counter() - start)
        return found

    def work(self, opens: int, think: float) -> None:
        """Read some cases: worklist, case and film, five saves, lock, prediction and map, and the next film ahead."""
        cases = [row["case"] for row in json.loads(self.ask("worklist", "GET", "/api/worklist")[2])]
        marks = [{"kind": "polygon", "points": [[i, (i * 7) % 90] for i in range(60)]}]
        given = {
            "finding": True,
            "label": "PNEUMONIA",
            "confidence": 3,
            "statement": "words",
            "marks": marks,
            "seconds": 1,
        }
        for number, case in enumerate(cases[:opens]):
            self.ask("worklist", "GET", "/api/worklist")
            start = time.perf_counter()
            self.ask("case", "GET", f"/api/cases/{case}")
            self.ask("film's description", "GET", f"/api/cases/{case}/film")
            self.times.setdefault("case open", []).append(time.perf_counter() - start)
            if number == 0:
                self.ask("first film, not fetched ahead", "GET", f"/api/cases/{case}/film/0")
            began, looks = time.monotonic(), think * self.chance.uniform(0.5, 1.5)
            following = cases[number + 1]
            self.ask("next film decoded, while one is looked at", "GET", f"/api/cases/{following}/film")
            self.ask("next film fetched, while one is looked at", "GET", f"/api/cases/{following}/film/0")
            time.sleep(max(0.0, looks - (time.monotonic() - began)))
            for revision in range(5):
                body = given | {"revision": revision, "save": f"save-{number}-{revision}"}
                self.ask("save (on disk)", "PUT", f"/api/cases/{case}/reading", body)
            self.ask("lock", "POST", f"/api/cases/{case}/lock", {"revision": 5})
            if number % 4 == 0:
                start = time.perf_counter()
                while self.ask("map", "GET", f"/api/cases/{case}/maps/gradcam")[0] == 202:
                    time.sleep(0.02)
                self.times["map"].pop()
                self.times.setdefault("map after lock, computed", []).append(time.perf_counter() - start)
                self.ask("map again", "GET", f"/api/cases/{case}/maps/gradcam")
                self.ask("agreement live", "GET", f"/api/cases/{case}/maps/gradcam/agreement?threshold=0.5")


def resident(pid: int, what: str = "VmRSS") -> float:
    """MiB that a process holds in memory; "VmHWM": at most so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    return float("nan")


def spent(pid: int) -> float:
    """Seconds of processor time that a process has used, whatever else the machine does."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Measured:
    """seconds: by action. before, after: MiB in memory at the start, and at most. cpu: the server's seconds a case."""

    seconds: dict[str, list[float]]
    before: float
    after: float
    cpu: float


def measure(cases: int, readers: int, shape: tuple[int, int], opens: int, think: float = 0.0) -> Measured:
    """Readers who all work at once."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        tokens = prepare(root, cases, shape, readers)
        command = [sys.executable, "-c", SERVER, folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as server:
            try:
                assert server.stdout
                port = int(server.stdout.readline().rsplit(":", 1)[1])
                people = [Reader(port, token) for token in tokens]
                people[0].ask("page", "GET", "/")
                before, began = resident(server.pid), spent(server.pid)
                with ThreadPoolExecutor(readers) as pool:
                    list(pool.map(lambda person: person.work(opens, think), people))
                after, cpu = resident(server.pid, "VmHWM"), spent(server.pid) - began
            finally:
                server.terminate()
    found: dict[str, list[float]] = {}
    for person in people:
        person.link.close()
        for what, times in person.times.items():
            found.setdefault(what, []).extend(times)
    return Measured(found, before, after, cpu / (readers * opens))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--width", type=int, default=3000)
    parser.add_argument("--height", type=int, default=2500)
    parser.add_argument("--opens", type=int, default=12)
    parser.add_argument("--think", type=float, default=8.0)
    given = parser.parse_args()
    found = measure(given.cases, given.readers, (given.height, given.width), given.opens, given.think)
    print(
        f"{given.cases} cases of {given.width} × {given.height}, {given.readers} readers at once, {given.opens} cases "
        f"each, {given.think:g} s a film; ",
        end="",
    )
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| action | n | median ms | 95 % ms | slowest ms |\n|---|---|---|---|---|")
    for what, times in found.seconds.items():
        ms = 1000 * np.array(times)
        print(f"| {what} | {len(ms)} | {np.median(ms):.0f} | {np.quantile(ms, 0.95):.0f} | {ms.max():.0f} |")
    print(
        f"\nresident memory of the server: {found.before:.0f} MiB before, {found.after:.0f} MiB at most; processor ",
        end="",
    )
    print(f"{1000 * found.cpu:.0f} ms of time a case from opening to lock, saves and maps included")


if __name__ == "__main__":
    main()
