"""What a run and its audit know of themselves, by name of the fact: a sentence or two, and where it stands."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from radiolucent.audits.trial import TESTS
from radiolucent.shown import counted

__all__ = ["Fact", "facts"]

Values = Mapping[str, Any]
INTERVENTIONS = tuple(t.name for t in TESTS if t.decides == "intervention")
FIGURES = ("auroc", "sensitivity", "specificity", "ppv", "npv", "brier", "calibration_slope")


@dataclass(frozen=True)
class Fact:
    """What is known, in words, and in which file and section it stands."""

    text: str
    where: str


def facts(audit: Values, run: Values | None = None) -> dict[str, Fact]:
    """The facts that guidelines and model cards ask for (names as in `guideline_items`); what is unknown is missing.

    Args:
        audit: of `audit_summary`. run: the content of the run's `summary.json`, where the model was trained here.
    """
    found = dict(_of_model(audit["model"])) | dict(_of_audit(audit))
    if run is not None:
        found |= dict(_of_run(run)) | dict(_of_training(audit["model"], run))
    return found


def figure(e: Values | None, unit: str = "") -> str:
    """A figure in the form of `summary.json` in words; `unit`: what n counts.

    >>> figure({"value": 0.5, "low": 0.4, "high": 0.6, "level": 0.95, "n": 9, "method": "wilson"}, "films")
    '0.500 (95 % CI 0.400 to 0.600, n = 9 films, wilson)'
    """
    if e is None or e["value"] is None:
        return "not defined"
    if e["low"] is None or e["high"] is None:
        return f"{e['value']:.3f} (n = {e['n']}{unit and f' {unit}'}, {e['method']})"
    ends = f"{100 * e['level']:.3g} % CI {e['low']:.3f} to {e['high']:.3f}"
    return f"{e['value']:.3f} ({ends}, n = {e['n']}{unit and f' {unit}'}, {e['method']})"


def _listed(values: Values) -> str:
    """Names and values in one line, those within a value as well; what is empty is left out.

    >>> _listed({"name": "small_cnn", "timm": "", "pick": None, "arguments": {"widths": [12, 24], "drop": 0.0}})
    'name small_cnn, widths 12 24, drop 0.0'
    """
    inner = [
        (k, v)
        for key, value in values.items()
        for k, v in (value.items() if isinstance(value, dict) else [(key, value)])
    ]
    lists = ((k, v if isinstance(v, (list, tuple)) else [v]) for k, v in inner)
    words = ((k, " ".join(str(w) for w in v if w is not None and w is not False and w != "")) for k, v in lists)
    return ", ".join(f"{k} {v}" for k, v in words if v)


def _of_model(model: Values) -> Iterator[tuple[str, Fact]]:
    file = model.get("file")
    given = not file and model["meta"]["architecture"].get("name") in ("wrapped", "function", "own")
    header = "the model as it was audited" if given else f"{file['name'] if file else 'the checkpoint'} (header)"
    meta, pre = model["meta"], model["meta"]["preprocess"]
    names = " | ".join(meta["class_names"])
    architecture = _listed(meta["architecture"]) or "not recorded"
    count = f"{model['parameters']:,} parameters"
    yield "category", Fact(f"Deep learning: a neural network that classifies radiographs as {names}.", header)
    yield "architecture", Fact(f"{architecture}; {count}; head {meta['head']}.", header)
    yield "preprocess", Fact("Every film alike: " + ", ".join(f"{k} {v}" for k, v in pre.items()) + ".", header)
    positive = meta["class_names"][meta["positive"]]
    words = f"Probability of {positive} (temperature {meta['temperature']:.3g}); called at or above "
    yield "output", Fact(f"{words}{meta['threshold']:.4g}.", header)
    yield "ensemble", Fact("None: a single network.", header)
    yield "use", Fact("Research use only; not for diagnosis.", "every page")
    told = f"{file['name']}, SHA-256 {file['sha256']}" if file else "its SHA-256 was not asked for"
    words = f"The network is one file that loads without executing code: {told}. "
    if given:
        words = "The network was given by a program, as a module or a function, and is no file of radiolucent's. "
    words += (
        f"Hash of weights and meaning, as this page and audit.json name the model: {model['hash']}. radiolucent: MIT."
    )
    yield "availability", Fact(words, header)


def _of_audit(audit: Values) -> Iterator[tuple[str, Fact]]:
    page = "audit.html"
    findings: Sequence[Values] = audit["findings"]
    yield "verdict", Fact(audit["headline"], f"{page}, Verdict")
    score = next((f for f in findings if f["test"] == "reasons.score" and f["estimate"]), None)
    if score:
        words = f"On the audited films AUROC {figure(audit['auroc'], 'patients')}. {score['summary']}"
        yield "reasons", Fact(words, f"{page}, Verdict")
    words = f"{counted(audit['films'], 'film')} of {counted(audit['patients'], 'patient')} audited"
    lost = len(audit["left_out"])
    yield "left_out", Fact(f"{words}; {counted(lost, 'file')} could not be read: see the list.", "audit.json: left_out")
    yield "demographics", Fact(_demographics(audit.get("columns", {}), audit["films"]), f"{page}, Not tested")
    words = f"On the {audit['films']} audited films: AUROC {figure(audit['auroc'], 'patients')}."
    yield "performance", Fact(words, f"{page}, Verdict")
    yield "limits", Fact(" ".join(audit["not_tested"]), f"{page}, Not tested")
    yield "details", Fact("All figures with intervals, thresholds, sources and seeds.", "audit.json, audit.html")
    yield "blind_model", Fact("The network was given the film's pixels alone.", f"{page}, How to read this")
    groups = {
        "stress": ("stress.", "The model"), "interventions": (INTERVENTIONS, "The model"),
        "slices": ("slices", "The model"), "subgroups": ("subgroups", "The model"),
        "metadata": ("shortcut.", "The data"), "shift": ("prevalence.", "The data"),
        "disjoint": ("patients.", "The data"), "checks": ("duplicates.", "The data"), "sites": ("source.", "The data"),
        "maps": ("maps.", "Maps"),
    }  # fmt: skip
    for name, (start, section) in groups.items():
        own = [f for f in findings if f["test"].startswith(start) and f["verdict"] != "not applicable"]
        if own:
            yield name, Fact(_tally(own), f"{page}, {section}")
    calibration = next((f for f in findings if f["test"] == "calibration.large" and f["estimate"]), None)
    if calibration:
        yield "calibration", Fact(calibration["summary"], f"{page}, The model")


def _demographics(columns: Values, films: int) -> str:
    """What is known of people's age and sex."""
    known = {name: n for name, n in columns.items() if name.lower() in ("age", "sex", "gender")}
    if not known:
        return "Age and sex are not among the films' columns: no figure by them."
    words = " and ".join(f"{name} of {n} of {films} films" for name, n in known.items())
    return f"Known: {words}. Figures by them stand among the subgroups where the groups are large enough."


def _tally(findings: Sequence[Values]) -> str:
    """How many of some findings failed, and the gravest in its own words."""
    failed = [f for f in findings if f["verdict"] == "fail"]
    open_ = sum(f["verdict"] == "inconclusive" for f in findings)
    lead = failed[0] if failed else findings[0]
    tests = counted(len(findings), "test")
    which = "" if len(findings) == 1 else "the gravest, " if failed else "the first listed, "
    return f"Failed: {len(failed)} of {tests}; open: {open_}; {which}{lead['test']}: {lead['summary']}"


def _of_run(run: Values) -> Iterator[tuple[str, Fact]]:
    page, figures = "report.html", run["performance"]
    data = run["data"]
    counts = "; ".join(
        f"{split}: "
        + ", ".join(f"{n} {name}" for name, n in by.items())
        + f" ({data['patients'].get(split, '?')} patients)"
        for split, by in data["counts"].items()
    )
    yield "partitions", Fact(counts + ".", f"{page}, Data; split.csv")
    yield "imbalance", Fact(f"Films by class: {counts}. Class weights as in the recipe.", f"{page}, Training")
    yield (
        "source",
        Fact(f"{run['config'].get('data', 'not recorded')}; hashes of content, labels and split are kept.", page),
    )
    yield "labels", Fact(f"Labels as given with the data: {', '.join(run['class_names'])}.", f"{page}, Data")
    yield (
        "left_out",
        Fact(
            f"{counted(len(data['left_out']), 'file')} left out, each with its reason.", "summary.json: data.left_out"
        ),
    )
    yield (
        "sample",
        Fact(
            f"{counted(figures['n'], 'test film')} of {counted(figures['patients'], 'patient')}; intervals tell what "
            "that size can.",
            f"{page}, Performance",
        ),
    )
    t = run["threshold"]
    where = "summary.json: threshold"
    yield (
        "threshold",
        Fact(f"{t['value']:.4g}, by the rule {t['rule']} on {t['n']} validation films, before testing.", where),
    )
    yield (
        "metrics",
        Fact(", ".join(k for k, v in figures.items() if isinstance(v, Mapping) and "value" in v) + ".", page),
    )
    yield "uncertainty", Fact(f"By patient; of AUROC: {figures['auroc']['method']}.", "summary.json: performance")
    words = "; ".join(f"{k} {figure(figures[k], 'patients')}" for k in FIGURES if k in figures)
    yield "performance", Fact(f"Test patients: {words}.", f"{page}, Performance")
    yield (
        "validation",
        Fact(f"Validation: auroc {figure(run['validation']['auroc'], 'patients')}.", "summary.json: validation"),
    )
    yield (
        "confusion",
        Fact(", ".join(f"{k} {v}" for k, v in figures["confusion"].items()) + ".", f"{page}, Performance"),
    )
    words = "ROC, precision and recall, reliability, decision curve, histogram of probabilities."
    yield "curves", Fact(words, f"{page}, Performance")
    yield "failures", Fact("The most confident mistakes, with pictures.", f"{page}, Cases")
    yield "elsewhere", Fact("Predictive values at other prevalences.", f"{page}, Performance")
    yield "software", Fact(", ".join(f"{k} {v}" for k, v in run["versions"].items()) + ".", "summary.json: versions")
    yield from _of_readers(run)


def _of_readers(run: Values) -> Iterator[tuple[str, Fact]]:
    doctors = run.get("doctors")
    if doctors:
        words = f"{counted(len(doctors['readers']), 'reader')}, {counted(doctors['films'], 'film')}."
        yield "readers", Fact(words, "report.html, Doctors")
        if doctors["between"]:
            words = "; ".join(f"{k} {figure(e)}" for k, e in doctors["between"].items())
            yield "agreement_between", Fact(words, "summary.json: doctors.between")
    told = {m: a["hit_rate"] for m, a in (run.get("agreement") or {}).items() if a.get("hit_rate")}
    if told:
        words = "Hit rate against doctors' regions: " + "; ".join(f"{m} {figure(e, 'films')}" for m, e in told.items())
        yield "agreement", Fact(words, "report.html, Doctors")


def _of_training(model: Values, run: Values) -> Iterator[tuple[str, Fact]]:
    config, provenance = run["config"], model["meta"]["provenance"]
    recipe = provenance.get("recipe", {})
    page = "report.html, Training"
    words = ", ".join(f"{k} {v}" for k, v in recipe.items() if not isinstance(v, Mapping)) or "see config.json"
    yield "training", Fact(f"Recipe {config.get('recipe')}, seed {run['seed']}: {words}.", f"{page}; config.json")
    yield "augmentation", Fact(f"As in the recipe {config.get('recipe')}; mirrored: {config.get('flip')}.", page)
    yield "initial", Fact(f"Weights before training: {provenance.get('weights', 'not recorded')}.", page)
    best, epochs = provenance.get("best_epoch", "not recorded"), len(run.get("history", []))
    yield "selection", Fact(f"Epoch {best} of {epochs}: lowest validation loss.", page)
