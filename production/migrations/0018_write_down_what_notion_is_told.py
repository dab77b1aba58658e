import django.utils.timezone
from django.db import migrations, models


def let_operators_look(apps, schema_editor):
    """Whoever may see what Notion says may see what it is told. On a fresh database Django finds the permission."""
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
        app_label="production", model="notionwrite"
    )
    may_look, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename="view_notionwrite", defaults={"name": "Can view write to Notion"}
    )
    events = {"permissions__codename": "view_notionevent", "permissions__content_type__app_label": "production"}
    for group in apps.get_model("auth", "Group").objects.filter(**events):
        group.permissions.add(may_look)


class Migration(migrations.Migration):

    dependencies = [
        ("production", "0017_open_roles"),
    ]

    operations = [
        migrations.CreateModel(
            name="NotionWrite",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("page_id", models.CharField(blank=True, max_length=36)),
                ("said", models.TextField(help_text="A line each property.")),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("status", models.PositiveSmallIntegerField(null=True)),
                ("answer", models.CharField(blank=True, help_text="Why it was refused.", max_length=500)),
            ],
            options={
                "verbose_name": "write to Notion",
                "verbose_name_plural": "writes to Notion",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["page_id", "-id"], name="write_by_page"),
                    models.Index(fields=["at"], name="write_by_age"),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="notionevent",
            index=models.Index(fields=["received"], name="event_by_age"),
        ),
        migrations.RunPython(let_operators_look, migrations.RunPython.noop),
    ]
