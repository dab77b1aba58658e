"""What a reader could not make out, each with its place."""

from dataclasses import dataclass, field

from production.documents.markdown import Place


@dataclass(frozen=True)
class Remark:
    """One line: file, line, what about it."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {' '.join(self.text.split())}"


@dataclass
class Findings:
    """`faults` keep a plan from being made; `notes` say what was guessed or left out."""

    faults: list[Remark] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)

    def fault(self, place: Place, text: str) -> None:
        self.faults.append(Remark(place, text))

    def note(self, place: Place, text: str) -> None:
        self.notes.append(Remark(place, text))
