"""The summary in plain words, from the figures."""

from collections.abc import Sequence

from radiolucent.audits import Agreement
from radiolucent.reports.story import Story
from radiolucent.types import Estimate

__all__ = ["figure_rows", "headline", "warnings"]

NAMES = {
    "auroc": ("AUROC", "how often a random ill patient's film scores above a random healthy one's"),
    "average_precision": ("Average precision", "precision averaged over all recalls, at this prevalence"),
    "sensitivity": ("Sensitivity (recall)", "share of the ill who are called"),
    "specificity": ("Specificity", "share of the healthy who are cleared"),
    "ppv": ("PPV (precision)", "share of the called who are ill, at this prevalence"),
    "npv": ("NPV", "share of the cleared who are healthy, at this prevalence"),
    "accuracy": ("Accuracy", "share of films called right"),
    "balanced_accuracy": ("Balanced accuracy", "mean of sensitivity and specificity"),
    "f1": ("F1", "harmonic mean of PPV and sensitivity"),
    "mcc": ("MCC", "correlation of call and truth, −1 to 1"),
    "macro_auroc": ("Macro AUROC", "mean one-against-rest AUROC of all classes"),
    "class_accuracy": ("Accuracy over all classes", "share of films whose most probable class is right"),
    "brier": ("Brier score", "mean squared error of the probabilities; 0 is best"),
    "ece": ("ECE", "mean gap between probability and observed share; 0 is best"),
    "calibration_slope": ("Calibration slope", "1 is calibrated; below 1: too extreme"),
    "calibration_intercept": ("Calibration intercept", "0 is calibrated; below 0: probabilities too high"),
}


def percent(e: Estimate) -> str:
    """An estimate as percent with its interval."""
    if e.value is None:
        return "not defined"
    if e.low is None or e.high is None:
        return f"{e.value:.1%}"
    return f"{e.value:.1%} (95 % CI {e.low:.1%} to {e.high:.1%})"


def headline(story: Story) -> list[str]:
    """What a doctor should take away, in sentences."""
    e, found = story.test.estimates, story.test
    ill, healthy = found.confusion["tp"] + found.confusion["fn"], found.confusion["tn"] + found.confusion["fp"]
    others = " or ".join(n for n in story.class_names if n != story.positive)
    lines = [
        f"The network tells {story.positive} from {others} on chest X-rays. It was tested on {found.n} films of "
        f"{found.patients} patients that played no part in training or in any choice: {ill} with {story.positive}, "
        f"{healthy} without.",
        f"Of the films with {story.positive} it finds {percent(e['sensitivity'])}; of the others it clears "
        f"{percent(e['specificity'])}. "
        f"It misses {found.confusion['fn']} and raises {found.confusion['fp']} false alarms.",
        f"A random film with {story.positive} scores above a random other one with probability {percent(e['auroc'])} "
        "(AUROC).",
    ]
    return lines + [_against_doctors(a) for a in story.agreement[:1]]


def _against_doctors(a: Agreement) -> str:
    hit, area, gap = a.estimates["hit_rate"], a.estimates["area"], a.estimates["hit_minus_area"]
    clear = gap.low is not None and gap.low > 0
    name = {"gradcam": "Grad-CAM", "lime": "LIME", "cam": "CAM"}.get(a.method, a.method)
    verdict = (
        "more often than a map that says nothing: the difference is "
        if clear
        else "not shown to be more often than a map that says nothing: the difference is "
    )
    ceiling = a.estimates.get("reader_hit_rate")
    doctors = (
        f" Another doctor's marking does so in {percent(ceiling)}." if ceiling and ceiling.value is not None else ""
    )
    return (
        f"On films where doctors marked something, {name}'s strongest point lies inside their marking in "
        f"{percent(hit)} (n = {hit.n} patients), where the marking covers {percent(area)} of the film; "
        f"{verdict}{percent(gap)}.{doctors}"
    )


def warnings(story: Story) -> list[str]:
    """What limits these figures, most important first."""
    found: list[str] = []
    for finding in story.findings:
        if finding.verdict == "fail":
            found.append(f"{finding.test}: {finding.summary}" + (f" → {finding.advice}" if finding.advice else ""))
    slope = story.test.estimates.get("calibration_slope")
    if slope and slope.low is not None and slope.high is not None and not slope.low <= 1 <= slope.high:
        found.append(f"The probabilities are not fully calibrated on the test patients (slope {slope}).")
    if story.test.patients < 100:
        found.append(f"Only {story.test.patients} test patients: the intervals are wide.")
    if not story.agreement:
        found.append("No doctor's markings were given: where the network looks was not compared with anything.")
    return found


def figure_rows(story: Story) -> Sequence[tuple[str, str, Estimate, Estimate | None]]:
    """(name, meaning, test estimate, validation estimate) in reading order."""
    test, val = story.test.estimates, story.validation.estimates
    return [(title, meaning, test[key], val.get(key)) for key, (title, meaning) in NAMES.items() if key in test]
