"""What every measure is given: a folder of its own, and whether a quick look will do."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Amount = TypeVar("Amount")


@dataclass(frozen=True)
class Bench:
    """`smoke`: everything runs once and briefly, to show that it does; its times mean nothing."""

    folder: Path
    smoke: bool = False

    def amount(self, full: Amount, smoke: Amount) -> Amount:
        return smoke if self.smoke else full
