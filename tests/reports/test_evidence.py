"""Evidence as a page prints it."""

from radiolucent.reports.html import environment


def test_evidence_is_short_and_names_the_file_that_holds_the_whole() -> None:
    made = environment().from_string("{{ e|evidence('audit.json') }}")
    short = made.render(e={"figures": [0.12345678, 2], "of": {"x": (1e-9, None)}})
    assert "0.1235" in short and "0.12345" not in short and "1e-09" in short and "whole" not in short
    long = made.render(e={str(i): i / 7 for i in range(500)})
    assert long.endswith("… (whole in audit.json)") and len(long) < 4000


def test_commands_in_sentences_are_set_as_code_and_the_rest_is_escaped() -> None:
    made = environment().from_string("{{ text|code }}")
    assert made.render(text="a<b: run `radiolucent repair`.") == "a&lt;b: run <code>radiolucent repair</code>."
    assert made.render(text="`<i>` and one ` more") == "`&lt;i&gt;` and one ` more"
