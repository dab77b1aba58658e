import re

from django.db import migrations

NAMED = re.compile(r"^is like “.*” of .*: (.* the same)$", re.DOTALL)


def forget_names(apps, schema_editor):
    """Findings of before named the video that a plan is like to everybody, of whichever channel it was."""
    Task = apps.get_model("production", "Task")
    for task in Task.objects.exclude(findings=[]).only("findings").iterator():
        told = [{**each, "message": NAMED.sub(r"is like another video: \1", each["message"])} for each in task.findings]
        if told != task.findings:
            Task.objects.filter(pk=task.pk).update(findings=told)


class Migration(migrations.Migration):

    dependencies = [
        ("production", "0018_write_down_what_notion_is_told"),
    ]

    operations = [migrations.RunPython(forget_names, migrations.RunPython.noop)]
