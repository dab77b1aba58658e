"""How long the vendors take, in seconds: named paces, or single values set while the sandbox runs."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sandbox.books import Books


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Seconds from a request to its answer, or from an accepted job to its end."""

    text: float
    image: float
    render: float
    narration: float
    sound: float
    webhook: float
    processing: float


PACES = {
    "instant": Pace(text=0, image=0, render=0, narration=0, sound=0, webhook=0, processing=0),
    "fast": Pace(text=0.3, image=0.1, render=2.0, narration=0.05, sound=0.05, webhook=0.05, processing=0.5),
    "real": Pace(text=25, image=12, render=150, narration=3, sound=6, webhook=5, processing=90),
}


def changed_pace(current: Pace, wanted: dict[str, Any]) -> Pace:
    """`{"name": "fast"}` and/or single values, e.g. `{"render": 8}`; raises ValueError with the names there are."""
    values = dict(wanted)
    name = values.pop("name", None)
    if name is not None and name not in PACES:
        raise ValueError(f"pace {name!r} is none of {', '.join(PACES)}")
    known = {field.name for field in fields(Pace)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"pace has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return replace(PACES[name] if name else current, **{key: float(value) for key, value in values.items()})


class PaceKeeper:
    """The pace in force, kept in the books so that a restart goes on at it."""

    def __init__(self, books: Books, start: str) -> None:
        self._books = books
        kept = books.get("pace", "now")
        self.now = Pace(**kept) if kept else PACES[start]

    def change(self, wanted: dict[str, Any]) -> Pace:
        self.now = changed_pace(self.now, wanted)
        self._books.put("pace", "now", asdict(self.now))
        return self.now
