"""Names of readers that can be told from each other, and from what stands for several readers."""

from collections.abc import Sequence

from radiolucent.audits.agreement.markings import JOINED
from radiolucent.errors import ConfigError

__all__ = ["check_readers"]

RESERVED = (*JOINED, "majority", "model", "organiser", "adjudicated")


def check_readers(names: Sequence[str]) -> None:
    """Refuse names that could not be told from each other, or from what stands for several readers.

    Raises:
        ConfigError: an empty or too long name, a reserved one, or the same twice.
    """
    plain = [n.strip().lower() for n in names]
    for name, word in zip(names, plain, strict=True):
        if not 0 < len(word) or len(name) > 80:
            raise ConfigError(f"reader {name[:90]!r}; expected 1 to 80 characters.")
        if word in RESERVED or word.startswith("without "):
            raise ConfigError(f"reader {name!r}: this word has a meaning in the statistics; give a name.")
        if plain.count(word) > 1:
            raise ConfigError(f"reader {name!r} is given twice; expected a name of their own for each.")
