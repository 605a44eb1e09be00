"""What a long run has done so far: one line a film, appended whole, and a table at the end."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from radiolucent.errors import ConfigError
from radiolucent.files import append_lines, atomic_path, read_lines, write_json
from radiolucent.tables import TableWriter

__all__ = ["COLUMNS", "Journal"]

COLUMNS: Mapping[str, pa.DataType] = {
    "image": pa.string(),
    "method": pa.string(),
    "target": pa.string(),
    "score_kind": pa.string(),
    "contrast": pa.string(),
    "score": pa.float64(),
    "called": pa.string(),
    "probability": pa.float64(),
    "peak_x": pa.float64(),
    "peak_y": pa.float64(),
    "trust": pa.string(),
    "trust_reasons": pa.string(),
    "map": pa.string(),
    "panel": pa.string(),
    "error": pa.string(),
}


class Journal:
    """Films done, in `journal.jsonl`: `{"key", "stamp", "rows"}` a line, the last line of a key being valid.

    A line is written after everything it speaks of (see `radiolucent.files.append_lines`). Memory holds a stamp and a
    place a film, not the rows.

    Args:
        folder: where it lies. settings: JSON-ready; a folder that holds other settings is refused.
        fresh: forget what is there.

    Raises:
        ConfigError: the folder was written with other settings; the message says which.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], *, fresh: bool = False) -> None:
        self.file = folder / "journal.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        if fresh:
            self.file.unlink(missing_ok=True)
        note, wanted = folder / "settings.json", json.loads(json.dumps(settings))
        if self.file.is_file() and note.is_file():
            before = json.loads(note.read_text())
            if differ := [k for k in wanted if before.get(k) != wanted[k]]:
                words = "; ".join(f"{k} was {before.get(k)!r}, is {wanted[k]!r}" for k in differ)
                raise ConfigError(
                    f"{folder}: holds explanations made otherwise ({words}); choose another --out or --fresh."
                )
        write_json(note, wanted)
        self.places: dict[str, tuple[list[int], int]] = {
            entry["key"]: (entry["stamp"], place) for place, entry in read_lines(self.file)
        }

    def has(self, key: str, stamp: Sequence[int]) -> bool:
        """Whether this film, unchanged since, is done."""
        found = self.places.get(key)
        return found is not None and found[0] == list(stamp)

    def add(self, entries: Iterable[tuple[str, Sequence[int], Sequence[Mapping[str, Any]]]]) -> None:
        """Append films (key, stamp, rows) and flush them to disk."""
        whole = [(key, list(stamp), list(rows)) for key, stamp, rows in entries]
        places = append_lines(self.file, ({"key": k, "stamp": s, "rows": r} for k, s, r in whole))
        self.places.update({key: (stamp, at) for (key, stamp, _), at in zip(whole, places, strict=True)})

    def rows(self, first: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Every row, film by film: those of `first` in their order, then any others."""
        before = set(first)
        order = [*(k for k in first if k in self.places), *(k for k in self.places if k not in before)]
        if not order:
            return
        with self.file.open("rb") as stream:
            for key in order:
                stream.seek(self.places[key][1])
                yield from json.loads(stream.readline())["rows"]

    def write_tables(self, folder: Path, first: Sequence[str] = ()) -> tuple[Path, Path]:
        """`explanations.csv` and `explanations.parquet`, one row an image, method and target, in bounded memory."""
        schema = pa.schema([pa.field(name, kind) for name, kind in COLUMNS.items()])
        table, columns = folder / "explanations.csv", folder / "explanations.parquet"
        with atomic_path(table) as plain, atomic_path(columns) as packed:
            with plain.open("w", newline="", encoding="utf-8") as stream, pq.ParquetWriter(packed, schema) as parquet:
                writer = TableWriter(stream, list(COLUMNS), names={"image", "map", "panel"})
                group: list[dict[str, Any]] = []
                for row in self.rows(first):
                    writer.write(row)
                    group.append(row)
                    if len(group) == 1000:
                        parquet.write_batch(pa.RecordBatch.from_pylist(group, schema))
                        group = []
                if group:
                    parquet.write_batch(pa.RecordBatch.from_pylist(group, schema))
        return table, columns
