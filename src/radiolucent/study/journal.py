"""What a long run has done so far: one line a film, appended whole, and a table at the end."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from radiolucent.errors import ConfigError
from radiolucent.files import append_lines, atomic_path, read_lines, write_json
from radiolucent.tables import TableWriter

__all__ = ["COLUMNS", "Journal"]

COLUMNS: Mapping[str, str] = {  # and their Arrow types
    "image": "string",
    "method": "string",
    "target": "string",
    "score_kind": "string",
    "contrast": "string",
    "score": "float64",
    "called": "string",
    "probability": "float64",
    "peak_x": "float64",
    "peak_y": "float64",
    "trust": "string",
    "trust_reasons": "string",
    "map": "string",
    "panel": "string",
    "error": "string",
    "note": "string",
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
        import pyarrow as pa
        from pyarrow import csv as arrow_csv
        from pyarrow import parquet as pq

        table, columns = folder / "explanations.csv", folder / "explanations.parquet"
        kinds = {name: pa.type_for_alias(kind) for name, kind in COLUMNS.items()}
        convert = arrow_csv.ConvertOptions(column_types=kinds, strings_can_be_null=True, null_values=[""])
        parse = arrow_csv.ParseOptions(newlines_in_values=True)
        with atomic_path(table) as plain, atomic_path(folder / ".explanations.rows.csv") as bare:
            with (
                plain.open("w", newline="", encoding="utf-8") as stream,
                bare.open("w", newline="", encoding="utf-8", errors="backslashreplace") as rows,
            ):
                writer = TableWriter(stream, list(COLUMNS), names={"image", "map", "panel"})
                lines = csv.DictWriter(rows, list(COLUMNS), lineterminator="\n", restval="")
                lines.writeheader()
                for row in self.rows(first):
                    writer.write(row)
                    lines.writerow({k: "" if v is None else v for k, v in row.items()})
            # Read back in blocks: Arrow makes columns of Python values only by way of pandas, a second to load.
            with arrow_csv.open_csv(bare, parse_options=parse, convert_options=convert) as reader:
                with atomic_path(columns) as packed, pq.ParquetWriter(packed, reader.schema) as parquet:
                    for batch in reader:
                        parquet.write_batch(batch)
        (folder / ".explanations.rows.csv").unlink(missing_ok=True)
        return table, columns
