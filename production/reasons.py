"""Why something is rejected or made again, as codes that can be counted: said once for pages, statistics and checks.

A code stays what it means; a new meaning gets a new code. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from production.stages import STAGES, Stage

EVERYWHERE = tuple(stage.name for stage in STAGES)


@dataclass(frozen=True)
class Reason:
    """`stages` are those at whose gate it is offered."""

    code: str
    label: str
    stages: tuple[str, ...]


PICTURES, MOVING, HEARD = ("assets", "composites"), ("video", "assembly"), ("audio", "sfx", "assembly")
# A table is read by its columns.
# fmt: off
REASONS: tuple[Reason, ...] = (
    #      code            label                                    offered at
    Reason("prompt",       "Not what was asked for",                EVERYWHERE),
    Reason("deformed",     "Hands, faces or text are deformed",     PICTURES + MOVING),
    Reason("character",    "The character does not look the same",  PICTURES + MOVING),
    Reason("style",        "Off the channel's style",               PICTURES + MOVING),
    Reason("layout",       "Badly placed or cut off",               ("composites",)),
    Reason("motion",       "Moves wrongly or hardly",               MOVING),
    Reason("artefact",     "Flickers, freezes or breaks",           MOVING),
    Reason("voice",        "Mispronounced or badly spoken",         ("audio", "assembly")),
    Reason("sound",        "Noise, wrong sound or level",           HEARD),
    Reason("length",       "Too long or too short",                 ("audio", "assembly")),
    Reason("story",        "The story does not hold",               ("assets", "audio", "assembly")),
    Reason("words",        "Title, description or captions",        ("assembly",)),
    Reason("policy",       "Risky on YouTube",                      EVERYWHERE),
)
# fmt: on
REASON = {reason.code: reason for reason in REASONS}


def offered_at(stage: Stage) -> list[Reason]:
    return [reason for reason in REASONS if stage.name in reason.stages]


def known(codes: Iterable[str]) -> list[str]:
    """Those of the codes that there are, in the table's order, each once."""
    said = set(codes)
    return [reason.code for reason in REASONS if reason.code in said]


def in_words(codes: Iterable[str], words: str = "") -> str:
    """The codes' labels and the person's own words, as one sentence for the history."""
    return ": ".join(filter(None, ["; ".join(REASON[code].label for code in known(codes)), words.strip()]))
