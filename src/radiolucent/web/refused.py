"""Refusals and failures: what is answered, and the logs of them. Neither repeats what was sent."""

import json
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from radiolucent.errors import RadiolucentError
from radiolucent.readers.private import private_folder
from radiolucent.readers.store_values import now

__all__ = ["FailureLog", "RefusalLog", "Refused"]


class Refused(RadiolucentError):
    """A request that is not served: an HTTP status, a short stable code, and a sentence that repeats no input."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class _PrivateFile(RotatingFileHandler):
    """A log that only its owner reads."""

    def _open(self) -> Any:
        stream = super()._open()
        Path(self.baseFilename).chmod(0o600)
        return stream


class _Log:
    """JSON lines in a file of bounded size (1 MB and two older ones)."""

    def __init__(self, path: Path) -> None:
        private_folder(path.parent)
        self.path = path
        self._logger = logging.Logger(f"radiolucent.web.{path}")
        handler = _PrivateFile(path, maxBytes=1_000_000, backupCount=2, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._logger.addHandler(handler)

    def line(self, **said: Any) -> None:
        """Add a line, with the time."""
        self._logger.warning(json.dumps({"at": now(), **said}, ensure_ascii=True))

    def close(self) -> None:
        """Close the file."""
        for handler in list(self._logger.handlers):
            handler.close()
            self._logger.removeHandler(handler)


class RefusalLog(_Log):
    """One line a refusal."""

    def write(self, status: int, code: str, method: str, path: str, reader: int | None = None) -> None:
        """Note a refusal; what the client chose is cut short and escaped."""
        self.line(status=status, code=code, method=method[:10], path=path[:120], reader=reader)


class FailureLog(_Log):
    """One line for what the server could not do, for the organiser: readers are not told why, as paths hold labels."""

    def write(self, what: str, error: BaseException, *, case: str = "", message: bool = True) -> None:
        """Note a failure: its kind, where in the code it arose and, where no reader had a say in it, its message.

        Args:
            what: was being done. case: the film, by its opaque name. message: False where the message may repeat what
                was sent.
        """
        last = error.__traceback__
        while last is not None and last.tb_next is not None:
            last = last.tb_next
        place = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else ""
        told = str(error)[:500] if message else ""
        self.line(what=what, case=case, error=type(error).__name__, message=told, place=place)
