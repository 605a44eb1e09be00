"""What the model says of a film: computed behind the scenes, kept on disk; who asks must have checked the lock."""

import json
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from radiolucent.errors import RadiolucentError
from radiolucent.explainers import Explainer, explain, load_explanation, save_explanation
from radiolucent.figures import sure
from radiolucent.files import write_json
from radiolucent.models import Classifier
from radiolucent.readers.store_values import Case
from radiolucent.study import make_case
from radiolucent.types import Explanation
from radiolucent.web.films import Films

__all__ = ["Reveal"]

_KEPT = 16  # maps in memory


class Reveal:
    """Predictions and maps of one classifier.

    Maps explain the positive class, whatever is called, so that films compare. Work is done by one thread, in the order
    asked for; results lie in a folder named after the classifier's hash.
    """

    def __init__(
        self, classifier: Classifier, films: Films, folder: Path, methods: Mapping[str, Explainer], seed: int = 0
    ) -> None:
        self.classifier, self.films, self.methods, self.seed = classifier, films, dict(methods), seed
        self.folder = folder / classifier.hash[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._maps: OrderedDict[Path, Explanation] = OrderedDict()
        self._waiting: set[str] = set()
        self._guard = threading.Lock()
        self._jobs: queue.Queue[Case | None] = queue.Queue()
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
            self._waiting.add(case.id)
        self._jobs.put(case)

    def prediction(self, case: Case) -> dict[str, Any] | None:
        """What the model says, in figures and words; None while being computed."""
        file = self._file(case, "json")
        return json.loads(file.read_text()) if file.is_file() else None

    def explanation(self, case: Case, method: str) -> Explanation | str | None:
        """The map; why there is none; or None while being computed."""
        file, failed = self._file(case, f"{method}.npz"), self._file(case, f"{method}.txt")
        if failed.is_file():
            return failed.read_text()
        if not file.is_file():
            return None
        with self._guard:
            if file not in self._maps:
                self._maps[file] = load_explanation(file)
                while len(self._maps) > _KEPT:
                    self._maps.popitem(last=False)
            self._maps.move_to_end(file)
            return self._maps[file]

    def ahead(self, cases: Sequence[Case], progress: Callable[[int, int], None]) -> None:
        """Compute everything now."""
        for done, case in enumerate(cases, start=1):
            if not self._complete(case):
                self._compute(case)
            progress(done, len(cases))

    def close(self) -> None:
        """Let the film being worked on finish; drop the rest."""
        with self._guard:
            while not self._jobs.empty():
                self._jobs.get_nowait()
        self._jobs.put(None)
        self._worker.join(timeout=60)

    def _file(self, case: Case, kind: str) -> Path:
        return self.folder / f"{case.id}.{kind}"

    def _complete(self, case: Case) -> bool:
        each = all(
            self._file(case, f"{m}.npz").is_file() or self._file(case, f"{m}.txt").is_file() for m in self.methods
        )
        return each and self._file(case, "json").is_file()

    def _work(self) -> None:
        while (case := self._jobs.get()) is not None:
            self._compute(case)
            with self._guard:
                self._waiting.discard(case.id)

    def _compute(self, case: Case) -> None:
        """Everything about one film that is not there; what fails is noted, and tells the reader so."""
        try:
            film = self.films.radiograph(case)
            said = make_case(self.classifier, film, self._logits(film), None, (), ())
            if not self._file(case, "json").is_file():
                write_json(self._file(case, "json"), self._words(said.called, said.probability, film))
        except (RadiolucentError, OSError, RuntimeError) as error:
            write_json(self._file(case, "json"), {"failed": f"The model could not read this film: {error}"})
            for name in self.methods:
                self._file(case, f"{name}.txt").write_text("The model could not read this film.")
            return
        for name, method in self.methods.items():
            if self._file(case, f"{name}.npz").is_file():
                continue
            try:
                found = explain(self.classifier, film, method, target=self.target, seed=self.seed)
                save_explanation(found, self._file(case, f"{name}.npz"))
            except (RadiolucentError, OSError, RuntimeError) as error:
                self._file(case, f"{name}.txt").write_text(f"No {name} map: {error}")

    def _logits(self, film: Any) -> Any:
        return self.classifier.logits(self.classifier.preprocess(film)[None])

    def _words(self, called: str, chance: float, film: Any) -> dict[str, Any]:
        score = float(self.classifier.probabilities(self._logits(film))[0][self.classifier.positive])
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
