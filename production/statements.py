"""Hand-written SQL whose rows are models, and to which several writers add their parts.

For what is said over and over: the ORM makes the text of a query anew each time, which for a take with its task and its
channel costs three times what the database does (1.2 ms of a core, 0.4 so).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Model


@dataclass(frozen=True)
class Part:
    """What one writer adds to a statement: SQL, and the values it names; a name means the same in all parts."""

    sql: str
    values: dict[str, Any]


def columns(model: type[Model], table: str) -> str:
    """The columns `read` wants of the model, from what is called `table` in the statement."""
    return ", ".join(f"{table}.{field.column}" for field in model._meta.concrete_fields)  # noqa: SLF001 - documented


def read(sql: str, values: Any, *models: type[Model]) -> list[list[Any]]:
    """The rows of a statement, each as an instance of each of the models, whose `columns` it selects in this order."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows = cursor.fetchall()
    return [[_instance(model, values) for model in models] for values in map(iter, rows)]


def read_with(parts: Mapping[str, Part], sql: str, *models: type[Model]) -> list[list[Any]]:
    """As `read`, of a statement that knows its parts by their names: all of them happen, or none."""
    named = ", ".join(f"{name} AS ({part.sql})" for name, part in parts.items())
    values = {name: value for part in parts.values() for name, value in part.values.items()}
    return read(f"WITH {named} {sql}", values, *models)


def _instance(model: type[Model], values: Iterator[Any]) -> Model:
    """Takes its own from the front of the values."""
    fields = model._meta.concrete_fields  # noqa: SLF001
    own = [_converted(field, value) for field, value in zip(fields, values, strict=False)]
    return model.from_db(connection.alias, [field.attname for field in fields], own)


def _converted(field: Any, value: Any) -> Any:
    for convert in field.get_db_converters(connection):
        value = convert(value, field, connection)
    return value
