"""What an evaluation and a study found, a line a figure."""

from typing import Any

from radiolucent.shown import counted

__all__ = ["label_lines", "summary_lines", "three_class_lines"]

JOINED = ("consensus", "staple", "union")  # readings of several readers as one
OF_ALL = {"macro_auroc": "AUROC, mean of the classes (macro)", "class_accuracy": "most probable class is right"}


def summary_lines(appraisal: Any) -> list[str]:
    """What a study found, a line a figure: what it is, of whom, and in which unit."""
    test = appraisal.test
    if hasattr(test, "too_few"):
        return label_lines(test)
    who = f"{counted(test.n, 'test film')} of {counted(test.patients, 'patient')}"
    lines = [f"On {who}, {test.positive} being positive (95 % intervals):"]
    if len(test.class_names) > 2:
        lines += three_class_lines(test)
    called = f" at threshold {test.threshold:.3f}"
    lines += [
        f"  AUROC of {test.positive}: {test.estimates['auroc']}",
        f"  sensitivity to {test.positive}{called}: {test.estimates['sensitivity']}",
        f"  specificity{called}: {test.estimates['specificity']}",
    ]
    if appraisal.agreement:
        lines.append(
            f"Maps of {test.positive} beside what readers marked; hit: the map's maximum lies inside a marking; area: "
            "the share of the film that is marked, which a blind guess would hit:"
        )
    for a in appraisal.agreement:
        whom = f"{a.reader} of {len(a.readers)} readers" if a.reader in JOINED else a.reader
        lines.append(
            f"  {a.method} beside {whom}: hit rate {a.estimates['hit_rate']}, area {a.estimates['area']}, of {a.films} "
            "films"
        )
    return lines


def label_lines(found: Any) -> list[str]:
    """Every label's leading figures, and their means."""
    who = f"{counted(found.n, 'film')} of {counted(found.patients, 'patient')}"
    lines = [f"On {who} (95 % intervals by patient):"]
    shown = {"auroc": "AUROC", "sensitivity": "sensitivity", "specificity": "specificity"}
    for name, one in found.labels.items():
        figures = "; ".join(f"{title} {one.estimates[k]}" for k, title in shown.items())
        lines.append(f"  {name} from {one.threshold:.3f}: {figures}")
    lines += [f"  {name}: {why}" for name, why in found.too_few.items()]
    if found.macro:
        lines.append(f"  mean of {len(found.labels)} labels: AUROC {found.macro['auroc']}")
    return lines


def three_class_lines(found: Any) -> list[str]:
    """Macro and one-against-the-rest figures, and the matrix, of more than two classes."""
    lines = [
        f"  {n.replace('_', ' ')}: {found.estimates[n]}"
        for n in ("macro_auroc", "class_accuracy")
        if n in found.estimates
    ]
    for name, figures in found.classes.items():
        lines.append(f"  {name} against the rest: " + "; ".join(f"{k} {v}" for k, v in figures.items()))
    if found.matrix:
        names = list(found.class_names)
        wide = max(max(map(len, names)), 6)
        lines.append("  films by label (rows) and call (columns):")
        lines.append("  " + " " * wide + "".join(f"  {n:>{wide}}" for n in names))
        for name, row in zip(names, found.matrix, strict=True):
            lines.append(f"  {name:>{wide}}" + "".join(f"  {v:>{wide}}" for v in row))
    return lines
