"""`radiolucent size`: how many patients, or readers and cases, a study needs."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from radiolucent.cli.output import AsJson, print_json, say
from radiolucent.errors import ConfigError

Share = float | None


def size(
    auroc: Annotated[Share, typer.Option(help="The AUROC expected.", min=0, max=1)] = None,
    sensitivity: Annotated[Share, typer.Option(help="The sensitivity expected.", min=0, max=1)] = None,
    specificity: Annotated[Share, typer.Option(help="The specificity expected.", min=0, max=1)] = None,
    half_width: Annotated[
        Share, typer.Option("--half-width", help="Half the width its interval may have.", min=0, max=0.5)
    ] = None,
    above: Annotated[
        Share, typer.Option(help="Or the value that its whole interval is to lie above.", min=0, max=1)
    ] = None,
    prevalence: Annotated[float, typer.Option(help="Share of patients with the finding.", min=0, max=1)] = 0.5,
    films: Annotated[float, typer.Option(help="Films a patient.", min=1, max=10_000_000)] = 1.0,
    rho: Annotated[float, typer.Option(help="Correlation of the outcomes of a patient's films.", min=0, max=1)] = 0.5,
    power: Annotated[float, typer.Option(help="Chance of success wanted.", min=0, max=1)] = 0.8,
    effect: Annotated[
        Share, typer.Option(help="Reading study: the difference of AUROCs expected between two tests.", min=-1, max=1)
    ] = None,
    readers: Annotated[int, typer.Option(help="Reading study: readers.", min=2, max=10_000)] = 5,
    margin: Annotated[
        float, typer.Option(help="Reading study: margin of non-inferiority; 0 for a difference.", min=0, max=1)
    ] = 0.0,
    components: Annotated[
        Path | None,
        typer.Option(
            help="Reading study: JSON with test_reader, error, same_reader, same_test, neither and cases, as a pilot "
            "gave them."
        ),
    ] = None,
    pilot: Annotated[
        Path | None,
        typer.Option(
            help="Reading study: a pilot's readings instead, as an .imrmc file; two tests, every case read by all.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How many patients an evaluation needs, or how many cases a reading study.

    An evaluation: --auroc, --sensitivity or --specificity with --half-width or --above. A reading study: --effect,
    --readers and --components or --pilot.
    """
    asked = {"auroc": auroc, "sensitivity": sensitivity, "specificity": specificity}
    given = {name: value for name, value in asked.items() if value is not None}
    if effect is not None and not given:
        found = _reading_study(effect, readers, margin, power, components, pilot)
    elif len(given) == 1 and effect is None:
        name, value = next(iter(given.items()))
        found = _evaluation(name, value, half_width, above, prevalence, films, rho, power)
    else:
        raise ConfigError("give one of --auroc, --sensitivity and --specificity; or --effect for a reading study.")
    if as_json:
        print_json(found)
    else:
        say.print(found["words"], soft_wrap=True, highlight=False)


def _evaluation(
    name: str, value: float, half_width: Share, above: Share, prevalence: float, films: float, rho: float, power: float
) -> dict[str, Any]:
    from radiolucent.metrics import size_auroc, size_proportion

    options: dict[str, Any] = {"half_width": half_width, "bound": above, "films": films, "rho": rho, "power": power}
    if name == "auroc":
        return dataclasses.asdict(size_auroc(value, prevalence=prevalence, **options))
    ill = name == "sensitivity"
    share = prevalence if ill else 1 - prevalence
    if not share:
        lacking = "with" if ill else "without"
        raise ConfigError(f"prevalence {prevalence:g}: there is no {name} where no patient is {lacking} the finding.")
    return dataclasses.asdict(size_proportion(value, prevalence=share, positives=ill, **options))


def _stated(file: Path) -> Any:
    """Variance components as a JSON file states them."""
    from radiolucent.readers.statistics import Pilot

    try:
        return Pilot(**json.loads(file.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{file}: {error}; expected a JSON object with test_reader, error, same_reader, same_test, neither, cases."
        ) from error


def _pilot_of(file: Path | None) -> Any:
    """Variance components of a pilot's readings.

    Raises:
        ConfigError: not two tests, or readings are missing.
    """
    from radiolucent.readers.statistics import Pilot, mrmc, read_imrmc

    assert file is not None
    read = read_imrmc(file)
    if len(read.tests) != 2:
        raise ConfigError(f"{file}: tests {', '.join(read.tests)}; expected a pilot of two.")
    if read.missing:
        reader, test, n = read.missing[0]
        raise ConfigError(
            f"{file}: {n} readings of {reader} under {test} are missing; components need every case read by all: leave "
            "out the reader or the cases, or state components with --components."
        )
    found = mrmc(read.truth, read.scores, tests=read.tests, readers=read.readers)
    return Pilot.of(found.components, len(read.truth))


def _reading_study(
    effect: float, readers: int, margin: float, power: float, components: Path | None, readings: Path | None
) -> dict[str, Any]:
    from radiolucent.readers.statistics import cases_for, mrmc_power

    if (components is None) == (readings is None):
        raise ConfigError(
            "--effect needs --components FILE (variance components of a pilot, or stated ones) or --pilot FILE."
        )
    pilot = _stated(components) if components is not None else _pilot_of(readings)
    cases = cases_for(pilot, effect, readers=readers, power=power, margin=margin)
    what = (
        f"an AUROC no worse than by {margin:g}, if the difference is {effect:g}"
        if margin
        else f"a difference of {effect:g}"
    )
    if cases is None:
        words = f"With {readers} readers no number of cases gives a chance of {power:.0%} to show {what}: take more."
        return {"readers": readers, "cases": None, "power": None, "words": words, "pilot": dataclasses.asdict(pilot)}
    reached = mrmc_power(pilot, effect, readers=readers, cases=cases, margin=margin)
    words = f"{readers} readers and {cases:,} cases give a chance of {reached:.0%} to show {what}."
    return {"readers": readers, "cases": cases, "power": reached, "words": words, "pilot": dataclasses.asdict(pilot)}
