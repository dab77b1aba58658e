"""What the database itself refuses, generated from the stage table.

django-pgtrigger keeps the trigger text in the migrations: when the table changes, `makemigrations --check` says so.
"""

import pgtrigger

from production.stages import Status, legal_pairs

STATUS_WRITTEN = pgtrigger.UpdateOf("status")  # type: ignore[no-untyped-call]


def only_legal_moves() -> pgtrigger.Trigger:
    """An UPDATE to a status that no verb leads to is refused at once."""
    pairs = ", ".join(f"('{a.value}','{b.value}')" for a, b in sorted(legal_pairs()))
    return pgtrigger.Trigger(
        name="only_legal_moves",
        when=pgtrigger.Before,
        operation=STATUS_WRITTEN,
        condition=pgtrigger.Condition("OLD.status IS DISTINCT FROM NEW.status"),
        func=f"""
            IF (OLD.status, NEW.status) NOT IN ({pairs}) THEN
                RAISE EXCEPTION 'illegal move of task %: % to %', NEW.id, OLD.status, NEW.status
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        """,
    )


def begins_as_draft() -> pgtrigger.Trigger:
    return pgtrigger.Trigger(
        name="begins_as_draft",
        when=pgtrigger.Before,
        operation=pgtrigger.Insert,
        condition=pgtrigger.Condition(f"NEW.status <> '{Status.DRAFT.value}'"),
        func="RAISE EXCEPTION 'a task begins as draft, not as %', NEW.status USING ERRCODE = 'check_violation';",
    )


def has_its_change() -> pgtrigger.Trigger:
    """At commit: each new status needs its StatusChange, written in the same transaction (only lifecycle does)."""
    return pgtrigger.Trigger(
        name="has_its_change",
        when=pgtrigger.After,
        operation=STATUS_WRITTEN,
        timing=pgtrigger.Deferred,
        condition=pgtrigger.Condition("OLD.status IS DISTINCT FROM NEW.status"),
        func="""
            IF NOT EXISTS (
                SELECT 1 FROM production_statuschange AS change
                WHERE change.task_id = NEW.id AND change.before = OLD.status AND change.after = NEW.status
                    AND change.transaction = pg_current_xact_id()::text::bigint
            ) THEN
                RAISE EXCEPTION 'status of task % was written behind lifecycle''s back: % to %',
                    NEW.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        """,
    )


def carries_its_priority() -> pgtrigger.Trigger:
    """A task's takes stand in line by its priority, whoever changes it."""
    return _carries("priority", name="carries_its_priority")


def carries_its_pause() -> pgtrigger.Trigger:
    """A paused task's takes leave the line's index: a claim does not even see them."""
    return _carries("paused", name="carries_its_pause")


def _carries(column: str, *, name: str) -> pgtrigger.Trigger:
    return pgtrigger.Trigger(
        name=name,
        when=pgtrigger.After,
        operation=pgtrigger.UpdateOf(column),  # type: ignore[no-untyped-call]
        condition=pgtrigger.Condition(f"OLD.{column} IS DISTINCT FROM NEW.{column}"),
        func=f"""
            UPDATE production_take SET {column} = NEW.{column}
            WHERE task_id = NEW.id AND {column} <> NEW.{column};
            RETURN NULL;
        """,  # noqa: S608 - one of the two names above
    )
