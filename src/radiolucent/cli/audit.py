"""The `radiolucent audit` command: tests a classifier for shortcut use, and tests the audit itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from radiolucent.cli.output import (
    CHECK_FAILED,
    RUN,
    USE,
    Annotations,
    AsJson,
    Seed,
    end_with_left_out,
    names_in,
    print_findings,
    print_json,
    progress_bar,
    resumable,
    run_path,
    say,
    shown,
)
from radiolucent.cli.reading_options import reads_films, reads_readings
from radiolucent.cli.unseen import Unseen, sort_out

__all__ = ["audit"]

NOTHING_CLEARED = 1
"""Exit status of an audit that neither fails the model nor clears it of anything."""

OptionalRun = Annotated[Path | None, typer.Argument(help=RUN, parser=run_path, metavar="[RUN]")]
OptionalData = Annotated[
    Path | None, typer.Argument(help="Films with labels that the model was not trained on: a folder or a manifest.")
]
Lungs = Annotated[
    Path | None, typer.Option(help="Folder of lung masks, named like the films; else our segmenter's.", exists=True)
]
Markers = Annotated[
    Path | None, typer.Option(help="Folder of masks of markers and text, likewise; else our detector's.", exists=True)
]
Split = Annotated[str | None, typer.Option(help="Only films of this split; test where there is one, else all.")]
Films = Annotated[int | None, typer.Option(help="At most so many films, drawn at random.", min=1, max=10_000_000)]
Target = Annotated[
    list[str] | None,
    typer.Option(help="Of a run that tells several labels: a label to audit, may be repeated; all unless given."),
]
Methods = Annotated[str, typer.Option(help="Explainers whose maps are looked at, with commas; '' for none.")]
Tests = Annotated[str, typer.Option(help="Only tests whose names begin so, with commas, e.g. marker,border.")]
Discover = Annotated[
    Literal["all", "none"],
    typer.Option(help="all: also look for shortcuts that have no name here, by exchanging parts between films."),
]
AuditOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder for report, summary and journal; RUN/audit unless given (box-audit for the shipped model, "
        "own-audit for --model).",
    ),
]
SelfTest = Annotated[bool, typer.Option("--self-test", help="Try the audit on models whose guilt is known.")]
Seeds = Annotated[int, typer.Option(help="Self-test: models for each shortcut and share.", min=1, max=1000)]
Shortcuts = Annotated[str, typer.Option(help="Self-test: shortcuts to plant, with commas, e.g. marker,border.")]
Shares = Annotated[
    str, typer.Option(help="Self-test: per cent of the ill training films that carry the shortcut, with commas.")
]
Workers = Annotated[int | None, typer.Option(help="Self-test: processes; one a core unless given.", min=1, max=1024)]
Cite = Annotated[
    Path, typer.Option(help="selftest.json that the report cites; else the one in the package.", dir_okay=False)
]
Maps = Annotated[bool, typer.Option("--maps/--no-maps", help="Self-test: also Grad-CAM-only and LIME-only detection.")]


@reads_films
@reads_readings
@resumable()
def audit(
    run: OptionalRun = None,
    data: OptionalData = None,
    target: Target = None,
    annotations: Annotations = None,
    lungs: Lungs = None,
    markers: Markers = None,
    split: Split = None,
    films: Films = None,
    method: Methods = "gradcam,saliency",
    tests: Tests = "",
    discover: Discover = "all",
    out: AuditOut = None,
    self_test: SelfTest = False,
    seeds: Seeds = 5,
    shortcuts: Shortcuts = "marker,border,exposure,size",
    shares: Shares = "0,20,50,80,100",
    workers: Workers = None,
    maps: Maps = True,
    cite: Cite = Path("runs/self-test/selftest.json"),
    unseen: Unseen = False,
    seed: Seed = 0,
    as_json: AsJson = False,
    *,
    asked: dict[str, Any],
) -> None:
    """Test a run for shortcut use. Status 4 if the model fails, 1 if no test could clear it of anything.

    A run of several labels is audited label by label, each as a question of two classes, into a folder of its own.
    Interrupted, the same command goes on where it stopped.
    """
    from radiolucent.errors import ConfigError

    if self_test:
        planned = _planned(seeds, shortcuts, shares, maps, seed)
        _self_test(planned, out or Path("runs/self-test"), workers, as_json)
        return
    if run is None or data is None:
        raise ConfigError("audit needs RUN and DATA, e.g. `radiolucent audit runs/study films/`; or --self-test.")
    from radiolucent.audits.trial.examine import asked as named

    named(names_in(tests), names_in(method))  # a wrong name is told before anything is read
    left: list[tuple[Path, str]] = []
    reading = {**asked, "left_out": left}
    each: dict[str | None, tuple[Any, Path]] = {}
    with progress_bar() as update:
        for label in audited_labels(run, target):
            each[label] = _audit(
                run,
                data,
                label,
                annotations,
                reading,
                lungs,
                markers,
                split,
                films,
                method,
                tests,
                discover == "all",
                out,
                seed,
                update,
                cite,
                unseen,
            )
    _tell(each, as_json)
    try:
        every = [item for found, _ in each.values() for item in found.table.left_out]
        end_with_left_out(dict.fromkeys([*every, *left]))
    finally:
        verdicts = {found.verdict for found, _ in each.values()}
        if "fail" in verdicts:  # outweighs files left out
            raise typer.Exit(CHECK_FAILED)
        if verdicts == {"inconclusive"}:
            raise typer.Exit(NOTHING_CLEARED)


def _tell(each: "dict[str | None, tuple[Any, Path]]", as_json: bool) -> None:
    if as_json:
        import json

        summaries = {label: json.loads((home / "audit.json").read_text()) for label, (_, home) in each.items()}
        print_json(summaries[None] if None in summaries else {"labels": summaries})
        return
    for label, (found, home) in each.items():
        if label is not None:
            say.print(f"[bold]{shown(label)}[/bold]", highlight=False)
        print_findings(found.findings)
        colour = {"fail": "red", "pass": "green"}.get(found.verdict, "yellow")
        say.print(f"[{colour}]{found.headline}[/{colour}]", highlight=False)
        score = found.reasons.estimate if found.reasons else f"none. {found.without_score}"
        say.print(f"AUROC {found.auroc}; reasons score {score}", highlight=False)
        say.print(f"report: {home / 'audit.html'}; {USE}", highlight=False)


def _audit(
    run: Path,
    data: Path,
    label: str | None,
    annotations: Path | None,
    reading: dict[str, Any],
    lungs: Path | None,
    markers: Path | None,
    split: str | None,
    films: int | None,
    methods: str,
    tests: str,
    discover: bool,
    out: Path | None,
    seed: int,
    update: Callable[[str, int, int], None],
    cite: Path,
    unseen: bool,
) -> tuple[Any, Path]:
    import json

    from radiolucent.audits.trial.examine import examine
    from radiolucent.audits.trial.maskers import maskers
    from radiolucent.data import LabelOptions, load_dataset, of_label, read_annotations
    from radiolucent.data.annotations.match import fitting_files
    from radiolucent.data.multilabel import match_labels
    from radiolucent.files import file_name, refuse_among_films
    from radiolucent.models import checkpoint_file, load, names_box, names_own
    from radiolucent.reports.audit_page import write_audit

    classifier = load(run)
    if label is None:
        dataset = load_dataset(data, known=classifier.class_names)
    else:
        several = load_dataset(data, labels=LabelOptions(classifier.class_names, lenient=True))
        dataset = of_label(match_labels(several, classifier.class_names), label)
        classifier = classifier.of_label(label)
    chosen = _chosen(sort_out(run, dataset, True)[0] if unseen else dataset, split, films, seed)
    if not unseen:
        sort_out(run, chosen, False)
    own = names_own(run)
    beside = None if own or names_box(run) else run if run.is_dir() else run.parent
    home = out or (beside / "audit" if beside else Path("own-audit" if own else "box-audit"))
    refuse_among_films([home], dataset.folders)
    home = home if label is None else home / file_name(label)
    lung_masks, marker_masks, note = maskers(lungs, markers)
    readings = read_annotations(annotations, dataset=dataset, **reading) if annotations else []
    if annotations:
        readings = fitting_files(readings, dataset, annotations, reading["left_out"])
    found = examine(
        classifier,
        chosen,
        whole=dataset,
        trained=_trained_on(beside, label) if beside else (),
        annotations=readings,
        lungs=lung_masks,
        markers=marker_masks,
        methods=names_in(methods),
        tests=names_in(tests),
        discover=discover,
        folder=home / "state",
        mask_note=note,
        seed=seed,
        progress=update,
    )
    cited = json.loads(cite.read_text()) if cite.is_file() else None
    own_run = beside and (beside if label is None else beside / "labels" / file_name(label))
    told = json.loads(s.read_text()) if own_run and (s := own_run / "summary.json").is_file() else None
    file = None if own else checkpoint_file(run)
    facts: dict[str, Any] = {"seed": seed, "self_test": cited, "run": told, "checkpoint": file}
    write_audit(found, home, model=str(run), data=str(data), progress=update, **facts)
    return found, home


def audited_labels(run: Path, target: list[str] | None) -> "list[str] | list[None]":
    """The labels to audit, as the model spells them; [None] for a model of classes."""
    from radiolucent.errors import ConfigError
    from radiolucent.models import load

    classifier = load(run)
    if not classifier.multilabel:
        if target:
            raise ConfigError("--target is for runs that tell several labels; this one has classes: leave it out.")
        return [None]
    names = [classifier.class_names[classifier.index_of(t)] for t in target or classifier.class_names]
    return list(dict.fromkeys(names))


def _trained_on(beside: Path, label: str | None) -> Any:
    """The films that a run was trained or chosen on, as its `split.csv` says; none where there is no such file."""
    from radiolucent.data import load_dataset, of_label

    file = beside / "split.csv"
    if not file.is_file():
        return []
    dataset = load_dataset(file)
    dataset = dataset if label is None or not dataset.multilabel else of_label(dataset, label)
    return [r for r in dataset.records if r.split in ("train", "val")]


def _chosen(dataset: Any, split: str | None, films: int | None, seed: int) -> Any:
    """The films to audit: of one split, and at most so many, drawn at random."""
    import dataclasses

    import numpy as np

    from radiolucent.errors import ConfigError

    wanted = split or ("test" if "test" in dataset.splits else None)
    chosen = dataset.split(wanted) if wanted else dataset
    if not len(chosen):
        raise ConfigError(f"split {wanted!r} has no film; the data have {', '.join(dataset.splits) or 'no split'}.")
    if films is None or films >= len(chosen):
        return chosen
    picked = sorted(np.random.default_rng([seed, 71]).permutation(len(chosen))[:films])
    return dataclasses.replace(chosen, records=tuple(chosen.records[i] for i in picked))


def _planned(seeds: int, shortcuts: str, shares: str, maps: bool, seed: int) -> Any:
    from radiolucent.audits.trial.selftest import SelfTest
    from radiolucent.errors import ConfigError

    try:
        parts = tuple(float(share) / 100 for share in names_in(shares))
    except ValueError as error:
        raise ConfigError(f"--shares {shares}: expected per cents with commas, e.g. 0,50,100.") from error
    return SelfTest(seeds=seeds, kinds=names_in(shortcuts), shares=parts, maps=maps, seed=seed)


def _self_test(planned: Any, out: Path, workers: int | None, as_json: bool) -> None:
    from radiolucent.audits.trial.selftest import self_test
    from radiolucent.reports.selftest_page import write_self_test

    with progress_bar() as update:
        found = self_test(planned, out, workers=workers, progress=update)
    write_self_test(found, out)
    if as_json:
        print_json(found.as_dict())
        return
    for line in found.lines():
        say.print(line, highlight=False, markup=False)
    say.print(f"table and curve: {out / 'selftest.html'}")
