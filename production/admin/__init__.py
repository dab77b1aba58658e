"""The screens of production, one concern a file."""

from production.admin import lanes, notion, operations, people, tasks

__all__ = ["lanes", "notion", "operations", "people", "tasks"]
