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
    return pgtrigger.Trigger(
        name="carries_its_priority",
        when=pgtrigger.After,
        operation=pgtrigger.UpdateOf("priority"),  # type: ignore[no-untyped-call]
        condition=pgtrigger.Condition("OLD.priority IS DISTINCT FROM NEW.priority"),
        func="""
            UPDATE production_take SET priority = NEW.priority
            WHERE task_id = NEW.id AND priority <> NEW.priority;
            RETURN NULL;
        """,
    )
