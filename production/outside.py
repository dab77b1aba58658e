"""Text from outside, made fit for the database: PostgreSQL takes no NUL and no half of a surrogate pair."""

from typing import Any


def storable(value: Any) -> Any:
    """`value` (anything JSON can say) with each text made storable: NUL goes, half a pair becomes "?"."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode(errors="replace").decode()
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    return value
