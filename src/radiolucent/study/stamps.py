"""Trust stamps in a study: one randomisation test a method, a stamp on every case, and their tally."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from radiolucent.audits.trust import stamp, trust_randomisation
from radiolucent.explainers import Explainer
from radiolucent.models import Classifier
from radiolucent.passes.session import Session
from radiolucent.types import Explanation, Finding, Radiograph

__all__ = ["Stamper", "tally"]


class Stamper:
    """Stamps maps of one classifier; each method's randomisation test is made once, on up to three films.

    Args:
        films: gives films, in order, for that test; no more are read than it needs.
    """

    def __init__(self, classifier: Classifier, films: Callable[[], Iterable[Radiograph]], seed: int = 0) -> None:
        self.classifier, self.films, self.seed, self.session = classifier, films, seed, Session()
        self.randomised: dict[Explainer, Finding] = {}

    def __call__(self, film: Radiograph, explanation: Explanation, method: Explainer) -> Explanation:
        """The explanation with its stamp."""
        if method not in self.randomised:
            asked: dict[str, Any] = {"seed": self.seed, "session": self.session}
            self.randomised[method] = trust_randomisation(self.classifier, self.films(), method, **asked)
        known = self.randomised[method]
        return stamp(self.classifier, film, explanation, method, randomised=known, session=self.session)


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
