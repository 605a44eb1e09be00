"""What the model says of a film: computed behind the scenes, kept on disk; who asks must have checked the lock."""

import hashlib
import itertools
import json
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from radiolucent.audits.trust import trust_line
from radiolucent.errors import ImageError, RadiolucentError
from radiolucent.explainers import Explainer, explain, load_explanation, save_explanation
from radiolucent.figures import sure
from radiolucent.files import write_json, write_text
from radiolucent.models import Classifier
from radiolucent.readers.private import close_to_others, private_folder
from radiolucent.readers.store_values import Case
from radiolucent.study import make_case
from radiolucent.study.stamps import Stamper
from radiolucent.types import NO_CALL, NO_LUNG, Explanation, Predictions, Radiograph
from radiolucent.web.films import Films
from radiolucent.web.refused import FailureLog

__all__ = ["Reveal"]

_KEPT = 16  # maps in memory
_AGAIN = 10.0  # seconds until what failed is tried once more, when somebody asks

# What readers are told. Why it failed goes to the log alone: messages hold paths, and paths hold labels.
_NO_FILM = "The model could not read this film; the organiser finds the reason in failed.log."
_NO_MAP = "There is no such map of this film; the organiser finds the reason in failed.log."
_NO_STAMP = "trust: could not be tested"
_LOG = logging.getLogger(__name__)
_ANSWER = "answer.json"  # another name than that of versions which kept no log odds
_MAPS, _STAMPS, _END = 0, 1, 2  # what comes first: nobody waits for a map because of another's stamp


class Reveal:
    """Predictions, maps and their trust stamps of one classifier.

    Maps explain the positive class, whatever is called, so that films compare. Work is done by one thread, in the order
    asked for, stamps when no map is waited for; results lie in a folder named after the classifier's hash, the methods
    with their parameters, and the seed. A method that does not apply stays so, and is noted on disk; anything else that
    fails (a missing film, a full disk) is kept in memory and tried again.

    Results lie open on disk for the account that runs the server, and for no other.

    Args:
        some: gives cases for the randomisation test, made once a method; None: maps get no stamp.
    """

    def __init__(
        self,
        classifier: Classifier,
        films: Films,
        folder: Path,
        methods: Mapping[str, Explainer],
        seed: int,
        failures: FailureLog,
        some: Callable[[], Sequence[Case]] | None = None,
    ) -> None:
        self.classifier, self.films, self.methods, self.seed = classifier, films, dict(methods), seed
        self.failures = failures
        shown = None if some is None else lambda: (films.radiograph(case) for case in some())
        how = hashlib.sha256(repr((seed, sorted(self.methods.items()))).encode()).hexdigest()
        self.folder = folder / f"{classifier.hash[:16]}-{how[:8]}"
        private_folder(folder)
        private_folder(self.folder)
        asked = {"target": self.target, "seed": seed}
        self._stamper = None if shown is None else Stamper(classifier, shown, asked, self.folder / "trust")
        self._maps: OrderedDict[Path, Explanation] = OrderedDict()
        self._waiting: set[str] = set()
        self._failed: dict[Path, str] = {}
        self._tried: dict[str, float] = {}  # when a case failed last
        self._guard = threading.Lock()
        self._jobs: queue.PriorityQueue[tuple[int, int, Case | None]] = queue.PriorityQueue()
        self._asked = itertools.count()
        self._worker = threading.Thread(target=self._work, name="reveal", daemon=True)
        self._worker.start()

    @property
    def target(self) -> str:
        """The class that maps explain."""
        return self.classifier.class_names[self.classifier.positive]

    def request(self, case: Case) -> None:
        """Have everything about a film computed, if it is not yet; returns at once."""
        with self._guard:
            if case.id in self._waiting or self._complete(case):
                return
            if time.monotonic() - self._tried.get(case.id, -_AGAIN) < _AGAIN:
                return
            for kind in (_ANSWER, *(f"{m}.npz" for m in self.methods)):
                self._failed.pop(self._file(case, kind), None)
            self._waiting.add(case.id)
        self._jobs.put((_MAPS, next(self._asked), case))

    def prediction(self, case: Case) -> dict[str, Any] | None:
        """What the model says, in figures and words; None while being computed."""
        file = self._file(case, _ANSWER)
        if file.is_file():
            return json.loads(file.read_text())
        return {"failed": self._failed[file]} if file in self._failed else None

    def explanation(self, case: Case, method: str) -> Explanation | str | None:
        """The map; why there is none; or None while being computed."""
        file, failed = self._file(case, f"{method}.npz"), self._file(case, f"{method}.txt")
        if failed.is_file():
            return failed.read_text()
        if not file.is_file():
            return self._failed.get(file)
        with self._guard:
            if file not in self._maps:
                self._maps[file] = load_explanation(file)
                while len(self._maps) > _KEPT:
                    self._maps.popitem(last=False)
            self._maps.move_to_end(file)
            return self._maps[file]

    def trust(self, case: Case, method: str) -> dict[str, str] | None:
        """A map's stamp as a verdict and a line; None while it is made. Without stamps, an empty verdict and line."""
        if self._stamper is None:
            return {"verdict": "", "line": ""}
        file = self._file(case, f"{method}.trust.json")
        if file.is_file():
            return json.loads(file.read_text())
        return {"verdict": "", "line": _NO_STAMP} if file in self._failed else None

    def ahead(self, cases: Sequence[Case], progress: Callable[[int, int], None]) -> None:
        """Compute everything now."""
        for done, case in enumerate(cases, start=1):
            if not self._complete(case):
                self._compute(case)
            self._stamp(case)
            progress(done, len(cases))

    def close(self) -> None:
        """Let the film being worked on finish; drop the rest."""
        with self._guard:
            while not self._jobs.empty():
                self._jobs.get_nowait()
        self._jobs.put((_END, next(self._asked), None))
        self._worker.join(timeout=60)

    def _file(self, case: Case, kind: str) -> Path:
        return self.folder / f"{case.id}.{kind}"

    def _complete(self, case: Case) -> bool:
        return all(self._done(case, m) for m in self.methods) and self._file(case, _ANSWER).is_file()

    def _done(self, case: Case, method: str) -> bool:
        return self._file(case, f"{method}.npz").is_file() or self._file(case, f"{method}.txt").is_file()

    def _work(self) -> None:
        while True:
            kind, _, case = self._jobs.get()
            if case is None:
                return
            if kind == _STAMPS:
                self._stamp(case)
                continue
            try:
                self._compute(case)
            finally:
                with self._guard:
                    self._waiting.discard(case.id)
            if self._stamper is not None:
                self._jobs.put((_STAMPS, next(self._asked), case))

    def _compute(self, case: Case) -> None:
        """Everything about one film that is not there; what fails is noted, and never ends the worker."""
        told = self._file(case, _ANSWER)
        try:
            film = self.films.radiograph(case)
            if not told.is_file():
                logits = self.classifier.logits(self.classifier.preprocess(film)[None])
                if bool(self.classifier.no_call(logits)[0]):
                    words = self._no_call()
                else:
                    said = make_case(self.classifier, film, logits, None, (), ())
                    words = self._words(said.called, said.probability, logits)
                write_json(told, words | {"margin": self._margin(case, logits)})
                told.chmod(0o600)
        except Exception as error:  # whatever one film brings up, the next reader's still has its turn
            self._fail(case, told, _NO_FILM, error)
            for name in self.methods:
                self._fail(case, self._file(case, f"{name}.npz"), _NO_MAP, None)
            return
        self._failed.pop(told, None)
        for name, method in self.methods.items():
            if not self._done(case, name):
                self._map(case, film, name, method)

    def _map(self, case: Case, film: Radiograph, name: str, method: Explainer) -> None:
        file = self._file(case, f"{name}.npz")
        try:
            found = explain(self.classifier, film, method, target=self.target, seed=self.seed)
            save_explanation(found, file)
            file.chmod(0o600)
        except Exception as error:
            self._fail(case, file, _NO_MAP, error)
            if isinstance(error, RadiolucentError) and not isinstance(error, ImageError):  # will not change
                failed = self._file(case, f"{name}.txt")
                write_text(failed, _NO_MAP)
                failed.chmod(0o600)
        else:
            self._failed.pop(file, None)

    def _stamp(self, case: Case) -> None:
        """Test the maps of one film that carry no stamp yet; what fails is noted, and never ends the worker."""
        for name, method in self.methods.items():
            file = self._file(case, f"{name}.trust.json")
            found = self.explanation(case, name)
            if self._stamper is None or not isinstance(found, Explanation) or file.is_file():
                continue
            try:
                stamped = self._stamper(self.films.radiograph(case), found, method)
                write_json(file, {"verdict": stamped.trust["verdict"], "line": trust_line(stamped)})
                for made in (file, self.folder / "trust"):
                    close_to_others(made)
            except Exception as error:
                self._fail(case, file, _NO_STAMP, error)

    def _fail(self, case: Case, file: Path, told: str, error: Exception | None) -> None:
        self._tried[case.id] = time.monotonic()
        self._failed[file] = told
        if error is not None:
            _LOG.warning("case %s: %s: %s: %s", case.id, file.name, type(error).__name__, error)
            self.failures.write(f"computing {file.name.removeprefix(f'{case.id}.')}", error, case=case.id)

    def _margin(self, case: Case, logits: Any) -> float:
        """The log odds of the positive class, by which films are ranked: probabilities end at 1."""
        c, names = self.classifier, (case.image_id,)
        unknown = np.array([-1])
        one = Predictions(names, names, logits.numpy(), unknown, c.class_names, c.positive, c.head, c.temperature)
        return float(one.margins[0])

    def _no_call(self) -> dict[str, Any]:
        words = f"{NO_LUNG[:1].upper()}{NO_LUNG[1:]}."
        told = {"called": None, "headline": NO_CALL, "probability": None}
        return told | {"threshold": self.classifier.threshold, "target": self.target, "words": [words]}

    def _words(self, called: str, chance: float, logits: Any) -> dict[str, Any]:
        score = float(self.classifier.probabilities(logits)[0][self.classifier.positive])
        likely = min(max(round(100 * chance), 1), 99)
        words = [
            f"Of 100 films rated like this one, about {likely} should be {called}, if its calibration holds here. "
            f"It calls {self.target} from {100 * self.classifier.threshold:.1f} % on; this film has {_percent(score)}.",
        ]
        return {
            "called": called,
            "headline": sure(chance, called),
            "probability": score,
            "threshold": self.classifier.threshold,
            "target": self.target,
            "words": words,
        }


def _percent(score: float) -> str:
    """A probability as percent, never 0 or 100.

    >>> _percent(0.99999), _percent(0.25)
    ('over 99.9 %', '25.0 %')
    """
    return "over 99.9 %" if score > 0.9994 else "under 0.1 %" if score < 0.0006 else f"{100 * score:.1f} %"
