"""One resumable run over any number of films: killed in the middle, nothing is lost and nothing done twice."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from radiolucent.cli import app
from radiolucent.errors import ConfigError, ExplainError
from radiolucent.explainers import CAM, Attribution, Explainer, GradCAM, load_explanation
from radiolucent.models import build, load, save
from radiolucent.study import ManyConfig, explain_many
from radiolucent.study.journal import Journal

# One process imports everything and forks the run, kills it at the given numbers of lines, and lets the last one end.
CODE = """
import json, os, resource, signal, sys, time
from pathlib import Path
from radiolucent.explainers import GradCAM
from radiolucent.models import load
from radiolucent.study import ManyConfig, explain_many
run, films, out = map(Path, sys.argv[1:4])
def lines():
    file = out / "journal.jsonl"
    return file.read_bytes().count(b"\\n") if file.is_file() else 0
def work():
    peaks = []
    def say(stage, done, total):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    found = explain_many(load(run), [films], out, ManyConfig((GradCAM(),), panels=False, trust=False), say=say)
    third = len(peaks) // 3
    print("new", found.new, "grown", max(peaks) - peaks[third], flush=True)
for stop in map(int, sys.argv[4:]):
    child = os.fork()
    if not child:
        work()
        os._exit(0)
    until = time.monotonic() + 120
    while lines() < stop and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, "ended by itself"
    print("killed at", lines(), flush=True)
maps = [p for p in (out / "maps").rglob("*.npz") if not p.name.startswith(".")]
(out.parent / "before.json").write_text(json.dumps([lines(), {str(p): p.stat().st_mtime_ns for p in maps}]))
with (out / "journal.jsonl").open("ab") as stream:  # as if it had died within a line
    stream.write(b'{"key": "half a li')
work()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    save(build("small_cnn", size=64, widths=(4, 4, 4, 4), hidden=0, seed=1)[0], folder / "model.safetensors")
    return folder


def films(folder: Path, count: int, side: int = 48) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(rng.integers(0, 255, (side, side), np.uint8)).save(
            folder / f"film{i:03d}.png", compress_level=0
        )
    return folder


def table(out: Path) -> list[dict[str, str]]:
    with (out / "explanations.csv").open() as stream:
        return list(csv.DictReader(stream))


def lines(out: Path) -> int:
    file = out / "journal.jsonl"
    return file.read_bytes().count(b"\n") if file.is_file() else 0


def test_killed_twice_nothing_is_lost_or_done_twice_and_memory_is_flat(run: Path, tmp_path: Path) -> None:
    count, out = 300, tmp_path / "out"
    source = films(tmp_path / "films", count)
    (source / "film100.png").write_bytes(b"")
    words = [sys.executable, "-c", CODE, str(run), str(source), str(out), "60", "160"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    said = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    killed = [int(line.split()[-1]) for line in said[:2]]
    found, before = json.loads((tmp_path / "before.json").read_text())
    assert 60 <= killed[0] < killed[1] == found < count
    journaled = [json.loads(line)["key"] for line in (out / "journal.jsonl").read_bytes().splitlines()[:found]]
    _, new, _, grown = said[2].split()
    assert int(new) == count - killed[1]  # only what was missing
    rows = table(out)
    assert [Path(r["image"]).name for r in rows] == [f"film{i:03d}.png" for i in range(count)]
    assert [r["image"] for r in rows if r["error"]] == [str(source / "film100.png")]
    maps = sorted(p for p in (out / "maps").rglob("*") if p.is_file())
    assert sorted(out / r["map"] for r in rows if r["map"]) == maps and len(maps) == count - 1
    kept = {out / r["map"] for r in rows if r["image"] in journaled and r["map"]}
    assert all(p.stat().st_mtime_ns == before[str(p)] for p in kept)  # not written again
    assert pq.read_table(out / "explanations.parquet").num_rows == count
    assert lines(out) == count
    assert int(grown) < 40_000, f"{grown} KiB"  # kilobytes, over the last two thirds


def test_the_same_maps_as_without_a_kill_and_batches(run: Path, tmp_path: Path) -> None:
    source, classifier = films(tmp_path / "films", 7), load(run)
    alone = explain_many(classifier, [source], tmp_path / "a", ManyConfig((GradCAM(), CAM()), batch_size=1))
    together = explain_many(classifier, [source], tmp_path / "b", ManyConfig((GradCAM(), CAM()), batch_size=5))
    for first, second in zip(table(tmp_path / "a"), table(tmp_path / "b"), strict=True):
        assert first["peak_x"] == second["peak_x"] and first["trust"] == second["trust"] != ""
        one, two = (load_explanation(tmp_path / f / r["map"]) for f, r in (("a", first), ("b", second)))
        np.testing.assert_allclose(one.map, two.map, atol=1e-5)
        assert one.trust["verdict"] == first["trust"]
        assert (tmp_path / "a" / first["panel"]).stat().st_size > 10_000
        row, column = np.unravel_index(one.map.argmax(), one.map.shape)
        assert float(first["peak_x"]) == pytest.approx((column + 0.5) * 48 / 64)
        assert float(first["peak_y"]) == pytest.approx((row + 0.5) * 48 / 64)
    assert (alone.films, alone.new, together.films) == (7, 7, 7)
    again = explain_many(classifier, [source], tmp_path / "a", ManyConfig((GradCAM(), CAM())))
    assert (again.films, again.new) == (7, 0)
    (source / "film003.png").write_bytes((source / "film004.png").read_bytes())  # another film under the old name
    assert explain_many(classifier, [source], tmp_path / "a", ManyConfig((GradCAM(), CAM()))).new == 1
    rows = table(tmp_path / "a")
    assert len(rows) == 14 and rows[6]["score"] == rows[8]["score"]


def test_other_settings_or_another_model_are_refused_and_fresh_starts_again(run: Path, tmp_path: Path) -> None:
    source, config = films(tmp_path / "films", 3), ManyConfig((GradCAM(),), panels=False, trust=False)
    explain_many(load(run), [source], tmp_path / "out", config)
    other, _ = build("small_cnn", size=64, widths=(4, 4, 4, 4), hidden=0, seed=2)
    with pytest.raises(ConfigError, match="model was"):
        explain_many(other, [source], tmp_path / "out", config)
    with pytest.raises(ConfigError, match=r"methods was.*--fresh"):
        explain_many(load(run), [source], tmp_path / "out", ManyConfig((CAM(),), panels=False, trust=False))
    assert explain_many(other, [source], tmp_path / "out", config, fresh=True).new == 3


def test_a_sample_is_stamped_where_there_are_many(run: Path, tmp_path: Path) -> None:
    source = films(tmp_path / "films", 30)
    explain_many(load(run), [source], tmp_path / "out", ManyConfig((GradCAM(),), panels=False))
    stamped = {r["image"] for r in table(tmp_path / "out") if r["trust"]}
    assert len(stamped) == 20
    explain_many(load(run), [source], tmp_path / "again", ManyConfig((GradCAM(),), panels=False))
    assert {r["image"] for r in table(tmp_path / "again") if r["trust"]} == stamped


def test_a_method_that_fails_on_one_film_costs_only_its_row(run: Path, tmp_path: Path) -> None:
    class Picky(Explainer):
        def attribute(self, classifier, inputs, goal, generator):
            if len(inputs) != 1 or float(inputs.mean()) > 1.9:
                raise ExplainError("too bright for me")
            return Attribution(inputs[:, 0])

    source = films(tmp_path / "films", 4)
    Image.fromarray(np.full((48, 48), 255, np.uint8)).save(source / "film002.png")
    config = ManyConfig((Picky(), GradCAM()), panels=False, trust=False, batch_size=1)
    found = explain_many(load(run), [source], tmp_path / "out", config)
    errors = [r for r in table(tmp_path / "out") if r["error"]]
    assert [(Path(r["image"]).name, r["method"]) for r in errors] == [("film002.png", "picky")]
    assert [p.name for p, _ in found.left_out] == ["film002.png"] and found.films == 4
    alone = explain_many(load(run), [source / "film002.png"], tmp_path / "no", config)  # on every film
    assert alone.methods_left_out == (("picky", "too bright for me"),) and alone.films == 1 and not alone.left_out
    config = ManyConfig((Picky(),), panels=False, trust=False, batch_size=1)
    first = [source / f"film00{i}.png" for i in (2, 0)]  # the first film refuses, which says nothing of the others
    assert explain_many(load(run), first, tmp_path / "first", config).films == 1
    for _ in range(2):  # nothing counts as done
        with pytest.raises(ExplainError, match="too bright"):
            explain_many(load(run), first[:1], tmp_path / "none", config)


def test_a_method_that_the_network_refuses_costs_only_its_rows(run: Path, tmp_path: Path) -> None:
    class Never(Explainer):
        asked: ClassVar[list[int]] = []

        def attribute(self, classifier, inputs, goal, generator):
            self.asked.append(len(inputs))
            raise ExplainError("not for this network")

    source = films(tmp_path / "films", 45)
    config = ManyConfig((Never(), GradCAM()), panels=False, trust=False, batch_size=5)
    found = explain_many(load(run), [source], tmp_path / "out", config)
    assert (found.films, found.left_out) == (45, ()) and found.methods_left_out == (("never", "not for this network"),)
    rows = table(tmp_path / "out")
    assert len(rows) == 90 and {r["method"] for r in rows if r["error"]} == {"never"}
    Never.asked.clear()
    config = ManyConfig((Never(),), panels=False, trust=False, batch_size=5)
    with pytest.raises(ExplainError, match="not for this network"):
        explain_many(load(run), [source], tmp_path / "none", config)
    assert len([n for n in Never.asked if n == 5]) == 4  # ended after 20 films


@pytest.mark.parametrize("size", [1, 7, 32, None])
def test_a_job_ends_after_20_films_whatever_the_batch(run: Path, tmp_path: Path, size: int | None) -> None:
    class Late(Explainer):
        first: ClassVar[int]
        asked: ClassVar[set[int]]

        def attribute(self, classifier, inputs, goal, generator):
            numbers = {round(float(x.mean()) * 255) for x in classifier.preprocess.denormalise(inputs)}
            self.asked.update(numbers)
            if min(numbers) < self.first:
                raise ExplainError("not for this film")
            return Attribution(inputs[:, 0])

    (source := tmp_path / "films").mkdir()
    for i in range(30):
        Image.fromarray(np.full((48, 48), i, np.uint8)).save(source / f"{i:02d}.png")
    config = ManyConfig((Late(),), panels=False, trust=False, batch_size=size)
    Late.first, Late.asked = 20, set()
    with pytest.raises(ExplainError, match="not for this film"):
        explain_many(load(run), [source], tmp_path / "none", config)
    assert Late.asked - {20} == set(range(20)), "of the next one its size alone is measured"
    Late.first = 19
    assert explain_many(load(run), [source], tmp_path / "some", config).films == 11


class Dark(Explainer):
    """Refuses bright films, each with its own reason."""

    def attribute(self, classifier, inputs, goal, generator):
        if float(inputs.mean()) > 0.5:
            raise ExplainError(f"too bright: {float(inputs.mean()):.1f}")
        return Attribution(inputs[:, 0])


DARK = ManyConfig((Dark(),), panels=False, trust=False, batch_size=1)


def bright(folder: Path, count: int) -> None:
    for i in range(count):  # before the good ones, by name
        Image.fromarray(np.full((48, 48), 255 - i % 5 * 20, np.uint8)).save(folder / f"a{i:02d}.png")


def test_films_that_fail_in_a_later_call_keep_none_from_being_explained(run: Path, tmp_path: Path) -> None:
    source = films(tmp_path / "films", 2)
    assert explain_many(load(run), [source], tmp_path / "out", DARK).new == 2
    bright(source, 21)
    for i, more in enumerate(sorted(films(tmp_path / "more", 3).iterdir())):
        more.rename(source / f"z{i}.png")
    found = explain_many(load(run), [source], tmp_path / "out", DARK)
    assert (found.films, found.new, len(found.left_out)) == (5, 3, 21)
    assert len(table(tmp_path / "out")) == 26


def test_films_that_no_method_was_tried_on_do_not_end_a_job(run: Path, tmp_path: Path) -> None:
    source = films(tmp_path / "films", 2)
    bright(source, 1)
    for i in range(20):
        (source / f"b{i:02d}.png").write_text("no image")
    found = explain_many(load(run), [source], tmp_path / "out", DARK)
    assert (found.films, found.new, len(found.left_out)) == (2, 2, 21)


def test_a_method_tells_up_to_three_reasons(run: Path, tmp_path: Path) -> None:
    (source := tmp_path / "films").mkdir()
    bright(source, 6)
    config = ManyConfig((Dark(), GradCAM()), panels=False, trust=False)
    none = explain_many(load(run), [source], tmp_path / "out", config).methods_left_out
    assert {name for name, _ in none} == {"dark"} and len({reason for _, reason in none}) == 4
    assert none[0][1].startswith("too bright") and none[-1][1] == "and 2 more reasons, in explanations.csv"


def test_a_journal_keeps_the_last_word(tmp_path: Path) -> None:
    journal = Journal(tmp_path, {"a": 1})
    journal.add([("x", [1, 1], [{"image": "x", "score": 1.0}]), ("y", [1, 1], [{"image": "y", "score": 2.0}])])
    journal.add([("x", [2, 2], [{"image": "x", "score": 3.0}])])
    back = Journal(tmp_path, {"a": 1})
    assert back.has("x", [2, 2]) and not back.has("x", [1, 1]) and not back.has("z", [0, 0])
    assert [r["score"] for r in back.rows(["y"])] == [2.0, 3.0]


def test_rows_take_time_in_proportion_to_their_number(tmp_path: Path) -> None:
    class Key(str):
        """Counts how often it is hashed: once or twice a key, not once for every other key."""

        asked = 0

        def __hash__(self) -> int:
            Key.asked += 1
            return str.__hash__(self)

        __eq__ = str.__eq__

    journal = Journal(tmp_path, {})
    keys = [Key(f"film{i}") for i in range(300)]
    journal.add((k, [0, 0], [{"image": k}]) for k in keys)
    first = keys[::-1][:250]
    Key.asked = 0
    assert [r["image"] for r in journal.rows(first)] == [*first, *keys[:50]]
    assert Key.asked < 10 * len(keys)


def test_the_command_line(run: Path, tmp_path: Path) -> None:
    source = films(tmp_path / "films", 2)
    (source / "bad.png").write_text("no image")
    words = [
        "explain",
        str(run),
        str(source),
        "--method",
        "gradcam,cam,lime",
        "--samples",
        "30",
        "--out",
        str(tmp_path / "o"),
    ]
    result = CliRunner().invoke(app, [*words, "--no-trust", "--json"])
    found = json.loads(result.stdout)
    assert result.exit_code == 3 and found["films"] == 2 and len(found["explanations"]) == 6
    assert all(Path(r["panel"]).is_file() and Path(r["map"]).is_file() for r in found["explanations"])
    assert Path(found["left_out"][0]["file"]).name == "bad.png"
    quiet = CliRunner().invoke(app, [*words, "--no-trust", "--quiet"])
    assert quiet.exit_code == 3 and "1 file left out:" in quiet.stderr and "bad.png" in quiet.stderr
    assert "explained, " not in quiet.stderr and "film000.png" in quiet.stdout
    (source / "bad.png").unlink()
    assert not CliRunner().invoke(app, [*words, "--no-trust", "--quiet"]).stderr
    assert CliRunner().invoke(app, [*words, "--trust"]).exception.args[0].startswith(str(tmp_path / "o"))
