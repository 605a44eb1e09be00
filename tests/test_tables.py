"""One writer of tables: what a spreadsheet runs, what a terminal acts on, and what is ordinary text."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import radiolucent
from radiolucent.tables import csv_text, guarded, printable, unguarded

ORDINARY = ["- opacity", "-ve", "+ effusion", "-3.5", "+1e5", "- opacity (left)", "", "a=1", "−2", "-12 %", "'tis"]


@pytest.mark.parametrize("cell", ORDINARY)
def test_ordinary_text_stays_as_it_is(cell: str) -> None:
    assert guarded(cell) == cell


@pytest.mark.parametrize(
    "cell", ["=1+1", "@SUM(A1)", "+SUM(A1:A3)", "-cmd|' /C calc'!A0", "\t=1", "\r=1", " =HYPERLINK(A1)", "-A1!B2"]
)
def test_formulas_begin_with_an_apostrophe(cell: str) -> None:
    assert guarded(cell) == f"'{cell}" and unguarded(guarded(cell)) == cell


@given(st.one_of(st.text(max_size=9), st.text("'=-+@ 1a(|\t", max_size=9)))
@settings(max_examples=200, deadline=None)
def test_guarding_can_be_undone(cell: str) -> None:
    assert unguarded(guarded(cell)) == cell


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=9)), max_size=4))
@settings(max_examples=60, deadline=None)
def test_tables_come_back_from_csv(rows: list[tuple[str, str]]) -> None:
    text = csv_text(["name", "words"], rows, names={"name"})
    back = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert [unguarded(words) for _, words in back] == [words for _, words in rows]
    assert [unguarded(name) for name, _ in back] == [printable(name) for name, _ in rows]


def test_names_are_escaped_and_words_are_not() -> None:
    assert csv_text(["image", "said"], [("a\nb\x1b", "two\nlines")], names={"image"}) == (
        'image,said\na\\nb\\x1b,"two\nlines"\n'
    )
    assert printable("\u202egnp\udce4") == "\\u202egnp\\udce4"


def test_no_other_module_writes_csv() -> None:
    source = Path(str(radiolucent.__file__)).parent
    texts = {path.relative_to(source).as_posix(): path.read_text() for path in source.rglob("*.py")}
    writers = sorted(name for name, text in texts.items() if "csv.writer(" in text or "csv.DictWriter(" in text)
    # plain.py is read back by other tools, and the journal by Arrow, from a file that it removes.
    assert writers == ["data/annotations/plain.py", "study/journal.py", "tables.py"]
