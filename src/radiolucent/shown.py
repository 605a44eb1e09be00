"""How results look in a notebook: a picture or a table under their name, and a table of all their figures."""

import html
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["Shown", "counted"]


class Shown:
    """A result that can be looked at: `_repr_html_` for notebooks, `plot()`, and `to_frame()` where it has rows."""

    def plot(self, **options: Any) -> Any:
        """The result as a `matplotlib.figure.Figure`; options as `radiolucent.figures.plot` takes them."""
        # Drawing is a room above this one, and is loaded when asked for; it knows how each result is drawn.
        return import_module("radiolucent.figures").plot(self, **options)

    def rows(self) -> Sequence[Mapping[str, Any]]:
        """The result as rows, plain values by column; none where it is not tabular."""
        return ()

    def to_frame(self) -> Any:
        """The rows as a `pandas.DataFrame`.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        from radiolucent.extras import require

        return require("pandas", extra="frames").DataFrame(list(self.rows()))

    def _repr_html_(self) -> str:
        head = f"<p>{html.escape(repr(self))}</p>"
        rows = self.rows()
        if not rows:
            return f'{head}<img src="data:image/png;base64,{self._picture()}" style="max-width: 100%" alt="">'
        names = list(rows[0])
        cells = [[html.escape(_short(row.get(n))) for n in names] for row in rows[:SHOWN]]
        lines = ["".join(f"<td>{c}</td>" for c in some) for some in cells]
        titles = "".join(f"<th>{html.escape(n)}</th>" for n in names)
        more = f"<p>… and {len(rows) - SHOWN} more rows: to_frame()</p>" if len(rows) > SHOWN else ""
        return f"{head}<table><tr>{titles}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>{more}"

    def _picture(self) -> str:
        from base64 import b64encode

        figures = import_module("radiolucent.figures")
        return b64encode(figures.to_png(self.plot(), dpi=90)).decode()


SHOWN = 20


def _short(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def counted(number: int, noun: str) -> str:
    """How many, in words.

    >>> counted(1, "patient"), counted(1200, "test film")
    ('1 patient', '1,200 test films')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
