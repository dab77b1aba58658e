"""Text from outside, made fit for the database: PostgreSQL takes no NUL and no half of a surrogate pair."""

import math
from typing import Any


def storable(value: Any) -> Any:
    """`value` (anything JSON can say), storable: NUL goes, half a pair becomes "?", NaN and Infinity null."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode(errors="replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value
