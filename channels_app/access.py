"""What a member of staff may see: the one place that says it (FR9).

Every list, picker, page, file, count and chart asks here. A row belongs to the channel that its `channel`, or that of
its `task` or `take`, names. To staff limited to channels a row that belongs to none tells too much, unless it is
`OF_THE_HOUSE`: a model added tomorrow is hidden from them until somebody has thought about it.
"""

from functools import cache
from typing import Any, TypeVar

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model, Q, QuerySet

from channels_app.models import Channel, ChannelLimit

OF_THE_HOUSE = {"production.Provider", "production.Heartbeat"}  # they tell of machines and vendors, of no channel
WAYS = ("channel", "task", "take")
Row = TypeVar("Row", bound=Model)


def channels_of(user: Any) -> frozenset[int] | None:
    """Ids of the channels that the user is limited to; None: all of them. One query a request."""
    if user.is_superuser:
        return None
    if not hasattr(user, "limited_to"):
        user.limited_to = _limit(user)
    found: frozenset[int] | None = user.limited_to
    return found


def _limit(user: Any) -> frozenset[int] | None:
    """A limit that names no channel is one row with nothing in it, no limit is no row."""
    rows = list(ChannelLimit.objects.filter(user=user.pk).values_list("channels", flat=True))
    return frozenset(filter(None, rows)) if rows else None


def seen_by(rows: QuerySet[Row], user: Any) -> QuerySet[Row]:
    """Those of the rows that the user may see. `user` None: the system itself, which sees everything."""
    return rows.filter(only(rows.model, user))


def only(model: type[Model], user: Any) -> Q:
    """The same as a condition."""
    ids = None if user is None else channels_of(user)
    if ids is None or model._meta.label in OF_THE_HOUSE:  # noqa: SLF001 - Django's documented way
        return Q()
    way = way_to_channel(model)
    return Q(**{f"{way}__in": ids}) if way else Q(pk__in=[])


@cache
def way_to_channel(model: type[Model]) -> str:
    """The look-up that leads from the model to its channel's id; empty where none does."""
    if issubclass(model, Channel):
        return "pk"
    for name in WAYS:
        try:
            field = model._meta.get_field(name)  # noqa: SLF001
        except FieldDoesNotExist:
            continue
        if field.concrete and field.related_model:
            return "channel" if name == "channel" else f"{name}__{way_to_channel(field.related_model)}"
    return ""
