"""On paper nothing is lost that a click shows on the screen."""

import subprocess
from importlib import resources
from pathlib import Path

from support.browser import programs

STYLE = (resources.files("radiolucent.reports") / "templates" / "style.css").read_text(encoding="utf-8")


def test_closed_evidence_is_printed_over_as_many_pages_as_it_takes(tmp_path: Path) -> None:
    chromium, _ = programs()
    lines = "".join(f"figure {i} {'x' * 150}\n" for i in range(120))
    body = f"<details><summary>Evidence</summary><pre>{lines}</pre></details>"
    sizes: list[int] = []
    for name, part in (("with", body), ("without", "<p>nothing</p>")):
        page = tmp_path / f"{name}.html"
        page.write_text(f"<!DOCTYPE html><style>{STYLE}</style><main><div class=finding>{part}</div></main>")
        words = [chromium, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        pdf = tmp_path / f"{name}.pdf"
        subprocess.run([*words, f"--print-to-pdf={pdf}", page.as_uri()], check=True, capture_output=True, timeout=120)
        sizes.append(pdf.read_bytes().count(b"/Type /Page\n"))
    assert sizes[1] == 1 and sizes[0] >= 4
