"""A classifier as a repository of the Hugging Face Hub: one file of weights, `config.json`, and a model card."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from radiolucent.errors import CheckpointError
from radiolucent.extras import require
from radiolucent.files import sha256_file, write_json, write_text
from radiolucent.models.checkpoint import NAME, load, save
from radiolucent.models.classifier import Classifier
from radiolucent.shown import counted
from radiolucent.types import LabelRule

__all__ = ["load_from_hub", "push_to_hub", "save_for_hub"]

TOLD = ("auroc", "sensitivity", "specificity", "ppv", "npv", "accuracy", "brier", "ece", "calibration_slope")

CARD = """---
library_name: radiolucent
pipeline_tag: image-classification
tags:
- radiography
- explainability
- radiolucent
{base}---

# {title}

A classifier of radiographs: {classes}. **Research use only, not for diagnosis.**

    pip install 'radiolucent[hub]'

```python
import radiolucent as rl

classifier = rl.load_from_hub("{repo}")
explanation = rl.explain(classifier, rl.read("film.png"), rl.GradCAM(){target})
```

`{file}` holds weights, class names, preprocessing, threshold and temperature; loading it executes no code.
SHA-256 of the file: `{sha256}`; of weights and meaning: `{hash}`.

## The model

| | |
|---|---|
| architecture | {architecture}, {parameters:,} parameters |
| input | {size} × {size} pixels, {channels}, grey levels as in `config.json` |
{called}
| weights before training | {weights} |

## Performance

{performance}

## Limits

Performance holds for films like those it was tested on: hospitals, machines, ages and prevalences elsewhere change it.
`radiolucent audit` tests whether it uses anything but the disease. A human must write here: what it is for and what
not, where the films came from and under which licence, and this model's own licence.
"""


def save_for_hub(
    source: Classifier | str | Path,
    folder: str | Path,
    *,
    repo_id: str = "owner/name",
    summary: Mapping[str, Any] | None = None,
) -> Path:
    """Write a classifier in the layout of a Hub repository: `model.safetensors`, `config.json`, `README.md`.

    The folder is a checkpoint as any: `load(folder)` reads it.

    Args:
        source: a classifier, or the folder of a run, whose `summary.json` then fills the card.
        repo_id: what the card says to load. summary: the content of a run's `summary.json`.

    Raises:
        CheckpointError: a wrapped model, or a summary that tells of another model.
    """
    classifier = source if isinstance(source, Classifier) else load(source)
    if summary is None and not isinstance(source, Classifier) and (file := Path(source) / "summary.json").is_file():
        summary = json.loads(file.read_text(encoding="utf-8"))
    if summary is not None and summary.get("hashes", {}).get("model") != classifier.hash:
        raise CheckpointError("summary.json tells of another model; evaluate this one, or leave the summary out.")
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    file = save(classifier, out / NAME)
    write_json(out / "config.json", {"library_name": "radiolucent", **classifier.meta()})
    write_text(out / "README.md", _card(classifier, file, repo_id, summary))
    return out


def push_to_hub(
    source: Classifier | str | Path,
    repo_id: str,
    *,
    summary: Mapping[str, Any] | None = None,
    private: bool = True,
    message: str = "Upload by radiolucent",
    api: Any = None,
) -> str:
    """Create the Hub repository if need be and upload what `save_for_hub` writes; its address.

    A card that was edited on the Hub is overwritten. Nothing of the films goes there.

    Args:
        source, summary: as `save_for_hub` takes them. private: of a repository that is created.
        api: a `huggingface_hub.HfApi`; the one with your stored token unless given.

    Raises:
        MissingExtraError: huggingface_hub is not installed. CheckpointError: as `save_for_hub`, or the Hub refuses.
    """
    hub = require("huggingface_hub", extra="hub")
    with tempfile.TemporaryDirectory() as place:
        folder = save_for_hub(source, place, repo_id=repo_id, summary=summary)
        chosen = hub.HfApi() if api is None else api
        try:
            chosen.create_repo(repo_id, private=private, exist_ok=True)
            chosen.upload_folder(repo_id=repo_id, folder_path=str(folder), commit_message=message)
        except Exception as error:  # the Hub's errors and its transport's
            raise CheckpointError(
                f"{repo_id}: not uploaded ({type(error).__name__}: {error}); log in with `hf auth login`, and check "
                "the name."
            ) from error
    return f"https://huggingface.co/{repo_id}"


def load_from_hub(repo_id: str, *, revision: str | None = None, **options: Any) -> Classifier:
    """Download `model.safetensors` of a Hub repository and load it; offline from the Hub's own cache.

    Args:
        revision: a branch, tag or commit; give a commit for a result that stays.
        options: further ones of `huggingface_hub.hf_hub_download`: cache_dir, token, local_files_only.

    Raises:
        MissingExtraError: huggingface_hub is not installed. CheckpointError: no such repository or file, no network,
            or no checkpoint of this package.
    """
    hub = require("huggingface_hub", extra="hub")
    try:
        file = hub.hf_hub_download(repo_id, NAME, revision=revision, **options)
    except Exception as error:  # the Hub's errors and its transport's
        why = f"{type(error).__name__}: {error}".splitlines()[0]
        raise CheckpointError(
            f"{repo_id}: {NAME} not downloaded ({why}); check the name, the network, and the token of a private "
            "repository."
        ) from error
    return load(file)


def _card(classifier: Classifier, file: Path, repo_id: str, summary: Mapping[str, Any] | None) -> str:
    meta = classifier.meta()
    weights = meta["provenance"].get("weights") or "not recorded"
    timm = meta["architecture"].get("timm")
    return CARD.format(
        base=f"base_model: timm/{timm}\n" if timm and weights == timm else "",
        title=repo_id.rsplit("/", 1)[-1],
        classes=", ".join(classifier.class_names),
        repo=repo_id,
        file=NAME,
        sha256=sha256_file(file),
        hash=classifier.hash,
        architecture=meta["architecture"].get("name", "not recorded"),
        parameters=sum(p.numel() for p in classifier.network.parameters()),
        size=classifier.preprocess.size,
        channels=counted(classifier.preprocess.channels, "channel"),
        called=_called(classifier),
        target=f", target={classifier.class_names[0]!r}" if classifier.multilabel else "",
        weights=weights,
        performance=_performance(summary),
    )


def _called(classifier: Classifier) -> str:
    """What is called from which probability on: a row of the table, or one a label."""
    if not classifier.multilabel:
        one = LabelRule(classifier.threshold, classifier.temperature)
        return f"| positive class | {classifier.class_names[classifier.positive]}, {_from(one)} |"
    rules = zip(classifier.class_names, classifier.label_rules, strict=True)
    return "\n".join(f"| label | {name}, {_from(rule)} |" for name, rule in rules)


def _from(rule: LabelRule) -> str:
    if rule.threshold is None:
        return "never called: validation could not fix a threshold"
    return f"called from a calibrated probability of {rule.threshold:.4g} (temperature {rule.temperature:.3g})"


def _performance(summary: Mapping[str, Any] | None) -> str:
    """The test figures as a table, each with interval, n and method."""
    if summary is None:
        return "Not recorded with this model. Evaluate it on films of your own: `radiolucent evaluate`."
    if "labels" in summary:
        each = {"mean of the labels": summary["macro"]}
        each |= {name: found["performance"] for name, found in summary["labels"].items() if "performance" in found}
        rows = [f"| {name} {row}" for name, told in each.items() for row in _figures(told)]
        return "On test films that training and calibration did not see:\n\n" + _table(rows, "label")
    told = summary["performance"]
    head = f"On {told['n']} test films of {told['patients']} patients, whom training and calibration did not see:\n\n"
    return head + _table(_figures(told))


def _figures(told: Mapping[str, Any]) -> list[str]:
    return [
        f"| {name} | {e['value']:.3f} | {_range(e)} | {e['n']} | {e['method']} |"
        for name in TOLD
        if (e := told.get(name)) and e["value"] is not None
    ]


def _table(rows: Sequence[str], *first: str) -> str:
    columns = (*first, "figure", "value", "interval", "n", "method")
    return "\n".join([f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *rows])


def _range(e: Mapping[str, Any]) -> str:
    return "none" if e["low"] is None else f"{e['low']:.3f} to {e['high']:.3f} ({100 * e['level']:.3g} %)"
