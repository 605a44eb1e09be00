"""Answers, statuses and options of the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radiolucent.cli import output
from radiolucent.cli.output import progress_bar
from radiolucent.data import load_dataset, write_manifest
from radiolucent.errors import ConfigError, DataError
from support.cli_calls import TRAINING, call, status

# What a command may load beyond torch; everything else below takes seconds for nothing.
HEAVY = {
    "lightning_fabric", "matplotlib", "matplotlib.figure", "openvino", "pandas", "pyarrow", "pydicom",
    "radiolucent.data.phantom", "scipy.optimize", "scipy.sparse", "scipy.stats", "sklearn", "sympy",
    "timm", "torch", "torch._dynamo", "torchvision",
}  # fmt: skip
ALLOWED = {
    "--help": set[str](),
    "predict": {"torch"},
    "explain": {"torch", "pyarrow", "matplotlib"},
    "explain as it comes": {"torch", "pyarrow", "matplotlib"},
    "evaluate": {"torch"},
}


@pytest.mark.parametrize("command", ALLOWED)
def test_a_command_loads_only_what_it_uses(command: str, home: Path, tmp_path: Path) -> None:
    film = next((home / "films" / "normal").iterdir())
    words = {
        "--help": [],
        "predict": [home / "run", film],
        "explain": [home / "run", film, "--method", "gradcam", "--no-trust", "--out", tmp_path],
        "explain as it comes": [home / "run", film, "--samples", "20", "--out", tmp_path],
        "evaluate": [home / "run", home / "films"],
    }[command]
    code = (
        "import sys\nfrom radiolucent.cli import main\nsys.argv[0] = 'radiolucent'\ntry:\n    main()\n"
        "except SystemExit as ended:\n    print('MODULES', ended.code, *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command.split()[0], *map(str, words)], capture_output=True, text=True, check=True
    )
    end, *modules = done.stdout[done.stdout.index("MODULES") :].split()[1:]
    assert end == "0" and HEAVY & set(modules) <= ALLOWED[command]


def test_the_reference_is_what_the_commands_say() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
    from cli_reference import PAGE, reference

    assert PAGE.read_text(encoding="utf-8") == reference(), "run: python scripts/cli_reference.py"


def test_few_films_get_a_table_and_flat_names(home: Path, tmp_path: Path) -> None:
    films = sorted((home / "films" / "normal").iterdir())[:2]
    said = call("explain", home / "run", *films, "--method", "gradcam", "--no-trust", "--out", tmp_path)
    for film in films:
        assert film.name in said.stdout and (tmp_path / f"{film.stem}.png").is_file()
        assert (tmp_path / "maps" / f"{film.stem}.gradcam.npz").is_file() and f"{film.stem}.png" in said.stdout
    assert said.stdout.index("effusion from") < said.stdout.index("panel")
    twin = tmp_path / "twin" / films[0].name  # called as a film explained before: neither overwrites the other
    twin.parent.mkdir()
    Image.fromarray(np.eye(64, dtype=np.uint8) * 200).save(twin)
    before = (tmp_path / f"{films[0].stem}.png").read_bytes()
    call("explain", home / "run", twin, "--method", "gradcam", "--no-trust", "--out", tmp_path)
    assert (tmp_path / f"{films[0].stem}.png").read_bytes() == before
    assert len(list((tmp_path / "panels").rglob("*.png"))) == 1


def test_statuses(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    film = next((home / "films" / "normal").iterdir())
    for words, expected in (
        (["predict", home / "run", bad], 1),
        (["explain", home / "run", bad, "--method", "gradcam", "--no-trust", "--out", tmp_path / "o"], 1),
        (["explain", home / "run", film, "--method", "gradcam", "--no-trust", "--out", bad / "o"], 1),
        (["predict", home / "runs", film], 2),
        (["predict", home / "run", film, bad], 3),
        (["predict", home / "run", film], 0),
        (["evaluate", home / "run", tmp_path / "nowhere"], 2),
        (["evaluate", home / "run", home / "films", "--by", "age"], 2),
        (["explain", home / "run", film, "--method", "magic", "--out", tmp_path / "o"], 2),
        (["train", home / "films", "--recipe", "secret", "--out", tmp_path / "r"], 2),
        (["audit"], 2),
        (["nothing"], 2),
    ):
        assert status(monkeypatch, *words) == expected, words


def test_options_in_a_file_repeat_a_training_and_the_command_line_goes_first(home: Path, tmp_path: Path) -> None:
    assert 'positive = "effusion"' in (home / "run" / "options.toml").read_text()
    again = ("train", home / "films", "--config", home / "run" / "options.toml", "--out", tmp_path / "again", "--json")
    assert json.loads(call(*again).stdout)["positive"] == "effusion"
    one, two = ((p / "model.safetensors").read_bytes() for p in (home / "run", tmp_path / "again"))
    assert one == two
    (tmp_path / "odd.toml").write_text("epocs = 3\n")
    odd = call("train", home / "films", "--config", tmp_path / "odd.toml", *TRAINING)
    (tmp_path / "one.toml").write_text('target = "normal"\nmethod = "gradcam"\ntrust = false\n')  # may be repeated: one
    film = next((home / "films" / "effusion").iterdir())
    one = call("explain", home / "run", film, "--config", tmp_path / "one.toml", "--out", tmp_path / "o", "--json")
    assert [e["target"] for e in json.loads(one.stdout)["explanations"]] == ["normal"]
    assert odd.exit_code == 2 and "epocs is no option" in odd.stderr


def test_by_tells_figures_apart_by_a_manifest_column(home: Path, tmp_path: Path) -> None:
    import dataclasses

    films = load_dataset(home / "films")
    named = [dataclasses.replace(r, extra={"sex": "f" if i % 2 else "m"}) for i, r in enumerate(films.records)]
    write_manifest(dataclasses.replace(films, records=tuple(named)), tmp_path / "m.csv")
    found = json.loads(call("evaluate", home / "run", tmp_path / "m.csv", "--by", "sex", "--json").stdout)
    assert {v: e["n"] for v, e in found["by"]["sex"].items()} == {"f": len(films) // 2, "m": (len(films) + 1) // 2}


def test_progress_in_a_file_is_a_line_a_minute(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(output.time, "monotonic", lambda: now[0])
    said: list[str] = []
    monkeypatch.setattr(output.say, "print", lambda text, **_: said.append(text))
    with progress_bar() as update:
        for done in range(1, 11):
            now[0] += 25.0
            update("reading", done, 10)
        update("quick", 1, 1)
    assert said == ["reading: 4 of 10, about 2 min left", "reading: 7 of 10, about 1 min left", "reading: 10 of 10"]


def test_quiet_says_only_the_result(home: Path) -> None:
    film = next((home / "films" / "normal").iterdir())
    words = [sys.executable, "-m", "radiolucent", "predict", str(home / "run"), str(film), "-q"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=os.environ | {"TERM": "dumb"})
    assert film.name in done.stdout and not done.stderr


def test_threads_are_told_to_wait_quietly_before_numpy_and_torch_are_loaded() -> None:
    code = (
        "import sys, os, radiolucent.cli\n"
        "loaded = {'numpy', 'torch'} & set(sys.modules)\n"
        "print(os.environ['OMP_WAIT_POLICY'], os.environ['OPENBLAS_NUM_THREADS'], loaded)"
    )
    free = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS")}
    for given, expected in (({}, "PASSIVE 1 set()"), ({"OPENBLAS_NUM_THREADS": "3"}, "PASSIVE 3 set()")):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=free | given
        )
        assert done.stdout.strip() == expected


def test_a_method_given_twice_is_two_methods(home: Path, tmp_path: Path) -> None:
    film = next((home / "films" / "normal").iterdir())
    words = ["--method", "gradcam", "--method", "saliency,layercam", "--no-trust", "--no-panels", "--out", tmp_path]
    call("explain", home / "run", film, *words)
    assert {f.name.split(".")[-2] for f in (tmp_path / "maps").iterdir()} == {"gradcam", "saliency", "layercam"}


def test_a_list_in_a_config_is_what_one_types_with_commas(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "options.toml"
    words = ("audit", home / "run", home / "films", "--config", config)
    config.write_text('tests = ["marker", "nonsense"]')
    with pytest.raises(ConfigError, match="tests nonsense: no finding's name"):
        call(*words)
    config.write_text("seed = [1, 2]")
    assert "expected one value, not a list" in call(*words).stderr
    config.write_text("method = {name = 1}")
    assert "expected a value, or a list of them" in call(*words).stderr


def test_a_folder_below_home_is_not_made_in_a_folder_called_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No shell replaces the sign in `--out=~/x`, and none in a file."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "options.toml"
    config.write_text('out = "~/by-config"')
    few = ("data", "phantom", "--patients", "4", "--size", "64")
    assert status(monkeypatch, *few, "--out=~/by-word") == 0
    assert status(monkeypatch, *few, "--config", config) == 0
    assert sorted(f.name for f in (tmp_path / "home").iterdir()) == ["by-config", "by-word"]
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
def test_a_terminal_that_cannot_write_a_name_gets_its_escape(encoding: str) -> None:
    code = (
        "from radiolucent.cli.entry import main\nfrom radiolucent.cli.output import print_json, shown\n"
        "from rich.console import Console\nimport sys\nimport radiolucent.cli.entry as entry\n"
        "entry.app = lambda: (print_json({'name': '\u0633 \u00e9 \U0001f525'}), Console().print(shown('\u0633')))\n"
        "main()"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=True)
    json_text, line = done.stdout.decode(encoding).rsplit("}", 1)
    assert json.loads(json_text + "}") == {"name": "\u0633 \u00e9 \U0001f525"} and line.strip() == "\\u0633"


def test_films_of_one_class_are_refused_with_what_was_made_of_their_labels(home: Path, tmp_path: Path) -> None:
    films = sorted((home / "films").rglob("*.png"))
    for names, said in (
        (("pneumonia", "PNEUMONIA"), "'PNEUMONIA', 'pneumonia' are one class"),
        (("ill", "nan"), f"{len(films) // 2} films have no label"),
    ):
        rows = [f"{film},{names[i % 2]}" for i, film in enumerate(films)]
        (tmp_path / "films.csv").write_text("\n".join(["path,label", *rows]))
        with pytest.raises(DataError, match="needs films of two classes; found") as told:
            call("train", tmp_path / "films.csv", "--out", tmp_path / "run", *TRAINING)
        assert said in str(told.value) and not (tmp_path / "run" / "study.json").exists()


def test_results_replace_no_run_no_manifest_and_no_film_that_a_manifest_lists(home: Path, tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for kind in ("normal", "effusion"):
        for file in sorted((home / "films" / kind).iterdir()):
            os.link(file, films / f"{kind}-{file.name}")
    rows = [f"{film},{film.name.split('-')[0]}" for film in sorted(films.iterdir())]
    manifest = tmp_path / "films.csv"
    manifest.write_text("path,label\n" + "\n".join(rows) + "\n")
    before = {p.name: p.read_bytes() for p in [*films.iterdir(), *(p for p in (home / "run").iterdir() if p.is_file())]}
    with pytest.raises(ConfigError, match=r"is a run, whose predictions\.csv would be replaced"):
        call("evaluate", home / "run", manifest, "--out", home / "run")
    film = next((home / "films" / "normal").iterdir())
    for words in (
        ("train", manifest, *TRAINING),
        ("study", manifest, *TRAINING),
        ("features", home / "run", film, "--data", manifest),
        ("audit", home / "run", manifest),
        ("data", "paste-marker", manifest, "--class", "effusion"),
    ):
        with pytest.raises(ConfigError, match="films lie there"):
            call(*words, "--out", films)
    after = {p.name: p.read_bytes() for p in [*films.iterdir(), *(p for p in (home / "run").iterdir() if p.is_file())]}
    assert after == before  # no lock either, by which a later command would pass the films over
    manifest.replace(films / "manifest.csv")
    kept = (films / "manifest.csv").read_text()
    with pytest.raises(ConfigError, match="is what is read"):
        call("data", "split", films, "--out", films / "manifest.csv")
    assert (films / "manifest.csv").read_text() == kept
