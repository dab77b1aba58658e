"""Rows that have heard of everything show their task's status; of the others nobody knows."""

from django.db import migrations


def note(apps, schema_editor):
    Task = apps.get_model("production", "Task")
    for status, label in Task._meta.get_field("status").choices:
        Task.objects.filter(status=status, tell_at=None, row_status="").update(row_status=label)


class Migration(migrations.Migration):
    dependencies = [("production", "0008_hear_what_people_set_in_notion")]

    operations = [migrations.RunPython(note, migrations.RunPython.noop)]
