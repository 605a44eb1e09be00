"""Evidence as a page prints it."""

from radiolucent.reports.html import environment


def test_evidence_is_short_and_names_the_file_that_holds_the_whole() -> None:
    made = environment().from_string("{{ e|evidence('audit.json') }}")
    short = made.render(e={"figures": [0.12345678, 2], "of": {"x": (1e-9, None)}})
    assert "0.1235" in short and "0.12345" not in short and "1e-09" in short and "whole" not in short
    long = made.render(e={str(i): i / 7 for i in range(500)})
    assert long.endswith("… (whole in audit.json)") and len(long) < 4000


def test_sentences_have_code_minus_signs_and_nothing_unescaped() -> None:
    made = environment().from_string("{{ text|sentence }}")
    assert made.render(text="a<b: run `radiolucent repair`.") == "a&lt;b: run <code>radiolucent repair</code>."
    moved = made.render(text="by -0.52 (99.2% CI -0.7 to +0.2), 3-4 films, p-12")
    assert moved == "by −0.52 (99.2 % CI −0.7 to +0.2), 3-4 films, p-12"
    assert made.render(text="`<i>` and one ` more") == "`&lt;i&gt;` and one ` more"
