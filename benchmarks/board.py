"""The sandbox's Notion board of a measure."""

from config.stack import Stack


def make_board(stack: Stack, channels: list[str]) -> str:
    """Its data source."""
    from production.models import Priority  # only now is Django set up
    from production.stages import Status
    from sandbox.client import board_properties

    properties = board_properties(channels, list(Status.labels), list(Priority.labels))
    return stack.control.create_database("Videos", properties)[1]
