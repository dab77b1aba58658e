"""Three groups to begin with: who decides about machines and money, who decides about videos, who looks.

On a fresh database Django makes permissions only after all migrations, so those that lack are made here; afterwards
Django finds them. Groups that operators have already are left as they are.
"""

from django.db import migrations

LOOK = {
    "channels": ["view_channel", "view_checkresult"],
    "production": [
        f"view_{name}"
        for name in ("task", "take", "statuschange", "alert", "ledgerentry", "cap", "provider", "heartbeat",
          "sharing", "sharedfile", "notiondrift", "window", "decision")
    ],
    "publishing": ["view_upload", "view_youtubeaccount"],
}
DECIDE = {"production": ["change_task"]}
OPERATE = {
    "channels": ["add_channel", "change_channel", "view_token", "add_token", "change_token", "delete_token"],
    "production": [
        *("change_provider", "add_cap", "change_cap", "delete_cap", "view_notionboard", "change_notionboard"),
        *("add_notionboard", "view_notionevent", "view_failedjob"),
    ],
    "publishing": ["add_youtubeaccount", "change_youtubeaccount", "delete_youtubeaccount"],
}
ROLES = {"Viewer": [LOOK], "Reviewer": [LOOK, DECIDE], "Operator": [LOOK, DECIDE, OPERATE]}


def open_roles(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    for name, rights in ROLES.items():
        group, is_new = Group.objects.get_or_create(name=name)
        if is_new:
            group.permissions.set(
                permission(apps, app, codename)
                for right in rights
                for app, codenames in right.items()
                for codename in codenames
            )


def permission(apps, app, codename):
    """The permission, as Django makes it after the migrations."""
    verb, model = codename.split("_")
    kind, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(app_label=app, model=model)
    try:
        said = apps.get_model(app, model)._meta.verbose_name
    except LookupError:  # an app whose migrations come later
        said = model
    found, _ = apps.get_model("auth", "Permission").objects.get_or_create(
        content_type=kind, codename=codename, defaults={"name": f"Can {verb} {said}"}
    )
    return found


class Migration(migrations.Migration):

    dependencies = [
        ("production", "0016_find_what_the_board_shows"),
        ("channels", "0009_limit_staff_to_channels"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(open_roles, migrations.RunPython.noop)]
