"""Trust stamps: one randomisation test a method, a stamp on every case, and their tally."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from radiolucent.audits.trust import stamp, trust_randomisation
from radiolucent.explainers import Explainer
from radiolucent.files import file_name, write_json
from radiolucent.models import Classifier
from radiolucent.passes.session import Session
from radiolucent.study.case import finding_from
from radiolucent.study.many_config import describe
from radiolucent.types import Explanation, Finding, Radiograph

__all__ = ["Stamper", "tally"]


class Stamper:
    """Stamps maps of one classifier; each method's randomisation test is made once, on up to three films.

    Args:
        films: gives films, in order, for that test; no more are read than it needs.
        asked: what is explained: target, contrast, score, seed, as `trust_randomisation` takes them.
        kept: folder where the test's results are kept from one call to the next, by what they depend on.
    """

    def __init__(
        self,
        classifier: Classifier,
        films: Callable[[], Iterable[Radiograph]],
        asked: Mapping[str, Any] | None = None,
        kept: Path | None = None,
        session: Session | None = None,
    ) -> None:
        self.classifier, self.films, self.asked, self.kept = classifier, films, dict(asked or {}), kept
        self.session = session or Session()
        self.randomised: dict[str, Finding] = {}

    def __call__(self, film: Radiograph, explanation: Explanation, method: Explainer) -> Explanation:
        """The explanation with its stamp."""
        target = explanation.target_name if self.classifier.multilabel else None
        key = describe(method) if target is None else f"{describe(method)} of {target}"
        if key not in self.randomised:
            self.randomised[key] = self._randomisation(method, target, film, explanation)
        known = self.randomised[key]
        return stamp(self.classifier, film, explanation, method, randomised=known, session=self.session)

    def _randomisation(
        self, method: Explainer, label: str | None, film: Radiograph, explanation: Explanation
    ) -> Finding:
        """A method's test; of several labels one a label. Where the film is the only one, its map is not made again."""
        asked: dict[str, Any] = self.asked if label is None else {**self.asked, "target": label}
        name = method.name if label is None else f"{method.name}.{file_name(label)}"
        file = self.kept / f"{name}.json" if self.kept else None
        stands_for = f"three films {self.classifier.hash} {describe(method)} {asked}"
        key = hashlib.sha256(stands_for.encode()).hexdigest()
        if file and file.is_file() and (before := json.loads(file.read_text()))["key"] == key:
            return finding_from(before["finding"])
        films = iter(self.films())
        first = list(islice(films, 2))
        known = [explanation] if [f.image_id for f in first] == [film.image_id] else None
        given: dict[str, Any] = {**asked, "known": known, "session": self.session}
        found = trust_randomisation(self.classifier, chain(first, films), method, **given)
        if file:
            write_json(file, {"key": key, "finding": found.as_dict()})
        return found


def tally(explanations: Sequence[Explanation]) -> Mapping[str, Any]:
    """By method, of stamped maps: how many got which verdict, and how often each reason was given; JSON-ready."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(e.method for e in explanations if e.trust):
        stamps = [e.trust for e in explanations if e.method == name and e.trust]
        verdicts = Counter(s["verdict"] for s in stamps)
        reasons = Counter(reason for s in stamps for reason in s["reasons"])
        parts = stamps[0]["parts"]
        found[name] = {
            "films": len(stamps),
            "verdicts": {v: verdicts.get(v, 0) for v in ("pass", "inconclusive", "fail")},
            "reasons": dict(reasons.most_common()),
            "randomisation": parts["randomisation"]["summary"] if "randomisation" in parts else "",
        }
    return found
