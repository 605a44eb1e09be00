"""Refusals: what is answered, and the log of them. Neither repeats what was sent."""

import json
import logging
from logging.handlers import RotatingFileHandler
from pathlib import Path

from radiolucent.errors import RadiolucentError
from radiolucent.readers.store_values import now

__all__ = ["RefusalLog", "Refused"]


class Refused(RadiolucentError):
    """A request that is not served: an HTTP status, a short stable code, and a sentence that repeats no input."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class RefusalLog:
    """One JSON line a refusal, in a file of bounded size (1 MB and two older ones)."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._logger = logging.Logger(f"radiolucent.web.{path}")
        handler = RotatingFileHandler(path, maxBytes=1_000_000, backupCount=2, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(message)s"))
        self._logger.addHandler(handler)

    def write(self, status: int, code: str, method: str, path: str, reader: int | None = None) -> None:
        """Note a refusal; what the client chose is cut short and escaped."""
        line = {
            "at": now(),
            "status": status,
            "code": code,
            "method": method[:10],
            "path": path[:120],
            "reader": reader,
        }
        self._logger.warning(json.dumps(line, ensure_ascii=True))

    def close(self) -> None:
        """Close the file."""
        for handler in list(self._logger.handlers):
            handler.close()
            self._logger.removeHandler(handler)
