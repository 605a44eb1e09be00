"""Everything the app works with, in one value."""

from dataclasses import dataclass
from functools import cached_property

from radiolucent.readers.store import Store
from radiolucent.readers.store_values import Case
from radiolucent.web.films import Films
from radiolucent.web.refused import FailureLog, RefusalLog
from radiolucent.web.reveal import Reveal

__all__ = ["StudyContext"]


@dataclass
class StudyContext:
    """An opened study.

    Attributes:
        name: of the study. class_names: what readers choose from. positive: the class maps explain.
        store, films, reveal, log, failures: see their classes. vocabulary: findings that marks can be called.
        port: the server listens on, known once it does.
    """

    name: str
    class_names: tuple[str, ...]
    positive: str
    store: Store
    films: Films
    reveal: Reveal
    log: RefusalLog
    failures: FailureLog
    vocabulary: tuple[str, ...] = ()
    port: int = 0

    @cached_property
    def _word(self) -> str:
        """The study's own word, which every request needs: asked once, because a question waits for saves."""
        return str(self.store.fact("key"))

    @property
    def cookie(self) -> str:
        """The session cookie's name: cookies do not know ports, and two studies may run side by side."""
        return f"radiolucent-{self._word}"

    def next_cases(self) -> list[Case]:
        """The films that readers will open first: of each the next case they have not locked."""
        wanted: dict[str, None] = {}
        for reader in self.store.readers():
            rows = self.store.worklist(reader)
            wanted |= dict.fromkeys([row.case for row in rows if row.state not in ("locked", "finished")][:1])
        return [self.store.case(name) for name in wanted]

    def close(self) -> None:
        """Finish what is being computed, and fold the database's log."""
        self.reveal.close()
        self.store.close()
        self.log.close()
        self.failures.close()
