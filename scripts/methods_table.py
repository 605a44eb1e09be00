"""Write the table of methods in docs/explanation/methods.md anew, from what the methods say of themselves.

python scripts/methods_table.py [FILE]
"""

import re
import sys
from pathlib import Path

from radiolucent.explainers import methods_table
from radiolucent.files import write_text

FILE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "methods.md"
PLACE = re.compile(r"(<!-- methods: .*? -->\n\n).*?(?=\n<!-- /methods -->)", re.DOTALL)


def with_table(page: str) -> str:
    """The page with the table as it is now."""
    return PLACE.sub(lambda found: found[1] + methods_table(), page, count=1)


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    write_text(file, with_table(file.read_text()))
