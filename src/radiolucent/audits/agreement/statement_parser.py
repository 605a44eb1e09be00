"""What a short statement on a chest film says: findings, side, zone, and what is denied. A small English vocabulary.

Sides are the patient's: "right" is the image's left. What it cannot do: other languages, misspellings, comparison with
earlier films ("unchanged"), degrees of doubt ("possible" counts as said), and devices. Words it does not know are
passed over, so that silence means "not understood", never "absent".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from radiolucent.audits.agreement.zones import ZONES

__all__ = ["FINDINGS", "Mention", "Said", "parse_statement"]

FINDINGS = {
    "opacity": r"opacit(?:y|ies)|infiltrat(?:e|es|ion|ions)|shadow(?:ing|s)?|density|densities|haz(?:e|iness)",
    "consolidation": r"consolidat(?:ion|ions|ed)|airspace disease|air bronchograms?",
    "pneumonia": r"pneumonias?|bronchopneumonias?",
    "interstitial": r"interstitial (?:markings?|changes|pattern)|reticular|peribronchial (?:cuffing|thickening)",
    "effusion": r"effusions?|pleural fluid",
    "pneumothorax": r"pneumothora(?:x|ces)",
    "atelectasis": r"atelectas(?:is|es)|collapse",
    "nodule": r"nodules?|mass(?:es)?",
}
_SIDES = {"right": r"right(?:-sided)?", "left": r"left(?:-sided)?", "both": r"bilateral(?:ly)?|both|bibasal|bibasilar"}
_PLACES = {
    "upper": r"upper|apical|apex|apices",
    "middle": r"middle|mid|perihilar|hilar|central|lingula(?:r)?",
    "lower": r"lower|basal|base|bases|basilar|bibasal|bibasilar|costophrenic|retrocardiac",
}
_NOT = r"no|none|without|not|never|absent|absence of|negative for|free of|clear of"
_NOTHING = re.compile(
    r"\b(?:no (?:acute )?(?:findings?|abnormalit(?:y|ies)|disease|acute process)|normal|unremarkable|"
    r"(?:lungs?|chest|film)(?: are| is)? clear)\b"
)
_CLEAR = re.compile(r"^\s*clear\s*$")


@dataclass(frozen=True)
class Mention:
    """One part of a statement: findings said and denied, on which sides ("right", "left"), in which zones."""

    findings: tuple[str, ...]
    denied: tuple[str, ...]
    sides: tuple[str, ...]
    places: tuple[str, ...]


@dataclass(frozen=True)
class Said:
    """A statement understood.

    Attributes:
        mentions: its parts in order. nothing: it says that the film is normal.
    """

    mentions: tuple[Mention, ...]
    nothing: bool

    @property
    def findings(self) -> frozenset[str]:
        """Everything said to be there."""
        return frozenset(f for m in self.mentions for f in m.findings)

    @property
    def denied(self) -> frozenset[str]:
        """Everything said not to be there."""
        return frozenset(f for m in self.mentions for f in m.denied)

    @property
    def zones(self) -> frozenset[str]:
        """Zones (A to F) that the parts with a finding name; a part without side or place names none.

        >>> sorted(parse_statement("consolidation, right lower zone and left middle zone").zones)
        ['C', 'E']
        >>> sorted(parse_statement("effusion on the left").zones)
        ['D', 'E', 'F']
        """
        found: set[str] = set()
        for m in self.mentions:
            if m.findings and (m.sides or m.places):
                places = m.places or ("upper", "middle", "lower")
                for side in m.sides or ("right", "left"):
                    found |= {ZONES[("right", "left").index(side) * 3 + tuple(_PLACES).index(p)] for p in places}
        return frozenset(found)

    @property
    def sides(self) -> frozenset[str]:
        """Sides that the parts with a finding name."""
        return frozenset(s for m in self.mentions if m.findings for s in m.sides)

    @property
    def finding(self) -> bool | None:
        """Whether it says that there is something; None where it says neither."""
        if self.findings:
            return True
        return False if self.nothing or self.denied else None


def parse_statement(text: str) -> Said:
    """Understand a statement, part by part.

    Sentences end at ".", ";", ":" or "but"; parts at "," and, where a new side follows, at "and". A part that names
    only a place belongs to the finding before it. A denial ("no", "without", …) holds to the end of its part, and
    through further parts up to the last one joined by "or" or "nor".

    >>> said = parse_statement("No effusion, pneumothorax or mass. Opacity in the left lower zone, no consolidation.")
    >>> sorted(said.denied), sorted(said.findings), sorted(said.zones)
    (['consolidation', 'effusion', 'nodule', 'pneumothorax'], ['opacity'], ['F'])
    >>> parse_statement("no finding").finding, parse_statement("as before").finding
    (False, None)
    """
    mentions: list[Mention] = []
    nothing = False
    for sentence in re.split(r"[.;:!?\n]+|\bbut\b|\bhowever\b", text.lower()):
        start = len(mentions)
        before: Mention | None = None
        for words, denied in _parts(sentence):
            mention = _mention(words, denied)
            if before and not denied and not mention.findings and (mention.sides or mention.places) and before.findings:
                # "consolidation, right lower zone": the place of what was said before
                mention = Mention(before.findings, (), mention.sides or before.sides, mention.places)
                if not (before.sides or before.places):
                    mentions.pop()
            mentions.append(mention)
            before = mention
        if not any(m.findings for m in mentions[start:]) and _all_clear(sentence):
            nothing = True
    kept = tuple(m for m in mentions if m.findings or m.denied or m.sides or m.places)
    return Said(kept, nothing and not any(m.findings for m in kept))


def _all_clear(sentence: str) -> bool:
    """Whether a sentence without a finding says that there is none."""
    found = _NOTHING.search(sentence)
    return bool(_CLEAR.match(sentence) or (found and not re.search(r"\bnot\W+(?:\w+\W+)?$", sentence[: found.start()])))


def _parts(sentence: str) -> Iterator[tuple[str, bool]]:
    """(words, denied) of each part."""
    side = "|".join(_SIDES.values())
    parts = [p for p in re.split(rf",|\band\b(?=[^,]*\b(?:{side})\b)", sentence) if p.strip()]
    last_or = max((i for i, p in enumerate(parts) if re.search(r"\bn?or\b", p)), default=-1)
    denying = False
    for i, part in enumerate(parts):
        match = re.search(rf"\b(?:{_NOT})\b", part)
        if match:
            if part[: match.start()].strip():
                yield part[: match.start()], False
            yield part[match.end() :], True
            denying = i < last_or
        else:
            yield part, denying
            denying = denying and i < last_or


def _mention(words: str, denied: bool) -> Mention:
    def named(vocabulary: dict[str, str]) -> tuple[str, ...]:
        return tuple(name for name, pattern in vocabulary.items() if re.search(rf"\b(?:{pattern})\b", words))

    findings, sides = named(FINDINGS), named(_SIDES)
    if "both" in sides:
        sides = ("right", "left")
    return Mention(() if denied else findings, findings if denied else (), sides, named(_PLACES))
