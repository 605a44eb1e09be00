"""Class names of any length stay in their place: in figures, and in the report's tables."""

import itertools
import re
from importlib import resources

import numpy as np
import pytest

from radiolucent.figures.curves import confusion_plot
from radiolucent.figures.dataset import contact_sheet
from radiolucent.metrics import evaluate
from radiolucent.reports.html import environment
from radiolucent.types import Estimate, Predictions, Radiograph

LONG = "Pneumonia_with_an_extraordinarily_long_class_name_of_seventy_letters_xyz"


@pytest.mark.parametrize("names", [("NORMAL", "PNEUMONIA"), (LONG, f"no {LONG}"), (LONG, f"no {LONG}", "other")])
def test_a_confusion_matrix_keeps_words_in_their_cells(names: tuple[str, ...]) -> None:
    count = 12 * len(names)
    films = tuple(map(str, range(count)))
    labels = np.arange(count) % len(names)
    logits = np.random.default_rng(0).normal(size=(count, len(names))).astype(np.float32)
    made = confusion_plot(evaluate(Predictions(films, films, logits, labels, names, 1, 0.5), folds=20))
    made.draw_without_rendering()
    axes = made.axes[0]
    cell = axes.get_window_extent().width / len(names)
    assert all(text.get_window_extent().width <= cell for text in axes.texts)
    assert all(text.get_window_extent().width <= cell for text in axes.get_xticklabels())
    assert all(text.get_window_extent().height <= cell for text in axes.get_yticklabels())
    if LONG not in names:
        assert [text.get_text() for text in axes.get_xticklabels()] == list(names)
        assert any("of PNEUMONIA" in text.get_text() for text in axes.texts)


def test_a_contact_sheet_keeps_names_beside_their_rows() -> None:
    film = Radiograph(np.zeros((40, 40), np.float32), "a")
    made = contact_sheet([(LONG, [film] * 3), (f"no {LONG}", [film] * 3), ("NORMAL", [film] * 3)])
    made.draw_without_rendering()
    places = sorted((text.get_window_extent() for text in made.texts), key=lambda place: place.y0)
    assert len(places) == 3
    assert all(below.y1 < above.y0 for below, above in itertools.pairwise(places))
    assert made.texts[-1].get_text() == "NORMAL"


def test_words_in_place_of_an_interval_may_be_broken_into_lines() -> None:
    cell = environment().from_string("{{ e|interval }}")
    note = "4137 of 10000 folds dropped: <b>not</b> defined there"
    shown = cell.render(e=Estimate(0.431, None, None, 0.95, 6, "bootstrap", note))
    assert shown == f'<span class="note">0.431 ({note.replace("<", "&lt;").replace(">", "&gt;")})</span>'
    assert cell.render(e=Estimate(0.5, 0.4, 0.6, 0.95, 10, "wilson")) == "0.500 (0.400 to 0.600)"


def test_names_from_right_to_left_leave_the_numbers_beside_them_in_place() -> None:
    """A browser would show "17 labelled 16 ,NAME not" of what is written "17 labelled NAME, 16 not"."""
    line = environment().from_string('17 labelled {{ name }}, 16 not; <i title="{{ name }}">')
    shown = line.render(name="<\u0633\u0644\u064a\u0645>")
    assert shown.startswith("17 labelled \u2068&lt;\u0633\u0644\u064a\u0645&gt;\u2069, 16 not")
    assert line.render(name="NORMAL") == '17 labelled NORMAL, 16 not; <i title="NORMAL">'
    assert line.environment.from_string('<a href="{{ to|e }}">').render(to="\u0633&") == '<a href="\u0633&amp;">'
    page = resources.files("radiolucent.reports").joinpath("templates/labels.html.jinja").read_text(encoding="utf-8")
    addresses = re.findall(r'(?:href|id)="#?\{\{ (.*?) \}\}"', page)
    assert len(addresses) == 4 and all(address.endswith("|e") for address in addresses)
