"""Staff limited to channels: nothing of another channel is anywhere, and what is not seen is not there."""

import importlib
import re
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from channels_app import access
from channels_app.models import Channel, ChannelLimit, CheckResult, Token
from production import alerts, asking, caps, planning
from production.models import (
    Alert,
    Cap,
    LedgerEntry,
    NotionBoard,
    NotionDrift,
    NotionEvent,
    SharedFile,
    StatusChange,
    Take,
    Tally,
    Task,
)
from production.stages import STAGE, Status
from publishing.models import Upload, YouTubeAccount
from tests.factories import (
    fresh,
    make_channel,
    make_operator,
    make_plan,
    make_production,
    make_staff,
    make_stage,
    make_take,
    make_task,
)
from tests.pages import review_of

pytestmark = pytest.mark.django_db
LIST = "admin:production_task_changelist"
FOREIGN = "Foreign"  # in every word of the other channel; searches ask for it but for its first letter


def house(name: str) -> Channel:
    """One row of everything that belongs to a channel, each with the name in it."""
    channel = make_channel(name=f"{name} channel", slug=f"{name.lower()}-channel")
    task = make_production(Status.UPLOADING, channel=channel, title=f"{name} film")
    make_stage(task, STAGE["upload"])
    film, upload = task.takes.get(kind="film"), task.takes.get(kind="upload")
    image = make_take(task, "image", 1, usd="0.03", prompt=f"{name} image")
    board = NotionBoard.objects.first_or_new()
    SharedFile.objects.create(take=image, place="notion", left_out=f"{name} is too large")
    NotionDrift.objects.create(board=board, page_id=task.page_id, task=task, kind="differs", title=f"{name} row")
    NotionDrift.objects.create(board=board, page_id=name, kind="untaken", title=f"{name} row without a task")
    CheckResult.objects.create(channel=channel, name="disk", level="pass", found=f"{name} disk")
    Token.objects.create(channel=channel, name="KIE_API_KEY", value="secret")
    YouTubeAccount.objects.create(channel=channel, youtube_channel_id=f"{name}-UC", refresh_token="secret")
    Upload.objects.create(take=upload, task=task, film=film, size=film.size, privacy="private")
    NotionEvent.objects.create(event_id=name, type=f"{name}.created", page_id=task.page_id)
    Alert.objects.create(channel=channel, cause=name, message=f"{name} trouble").tasks.add(task)
    Cap.objects.create(meter="channel_day", channel=channel, usd=50)
    today = caps.current("channel_day", str(channel.pk), timezone.now())
    Tally.objects.create(meter=today.meter, key=today.key, since=today.since, simulated=True, usd=3)
    make_task(Status.ASSET_ERROR, channel=channel, title=f"{name} failure", reason=f"{name} reason")
    make_task(Status.ASSETS_READY, channel=channel, title=f"{name} gate")
    make_task(Status.PUBLISHED, channel=channel, title=f"{name} success")
    StatusChange.objects.filter(task__channel=channel).update(by=f"{name}-person")
    return channel


@pytest.fixture
def own() -> Channel:
    return house("Own")


@pytest.fixture
def foreign() -> Channel:
    return house(FOREIGN)


def make_limited(*channels: Channel) -> User:
    """Staff with every permission there is, limited to these channels."""
    user = make_staff(username="lina")
    user.user_permissions.set(Permission.objects.all())
    ChannelLimit.objects.create(user=user).channels.set(channels)
    return user


@pytest.fixture
def limited(client: Client, own: Channel) -> Client:
    client.force_login(make_limited(own))
    return client


def rows_of(channel: Channel) -> Iterator[Model]:
    """Of every registered model the rows that belong to the channel."""
    for model in admin.site._registry:
        if way := access.way_to_channel(model):
            yield from model._default_manager.filter(**{way: channel.pk})


def change_of(row: Model, page: str = "change") -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=[row.pk])


def pages_of_all() -> Iterator[str]:
    """What shows many rows at once, and the empty forms."""
    yield reverse("admin:index")
    for name in ("task_board", "task_columns", "task_reviewers"):
        yield reverse(f"admin:production_{name}")
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        yield f"{reverse(f'{name}_changelist')}?q={FOREIGN[1:]}"
        yield reverse(f"{name}_add")
    for field in ("channel", "channels"):
        for app, model in (("production", "cap"), ("channels", "channellimit"), ("publishing", "youtubeaccount")):
            yield f"{reverse('admin:autocomplete')}?app_label={app}&model_name={model}&field_name={field}"
    yield f"{reverse('admin:search')}?s={FOREIGN[1:]}&extended=1"


# ---------------------------------------------------------------- the walk


def test_pages_show_limited_staff_nothing_foreign(limited: Client, foreign: Channel) -> None:
    for url in pages_of_all():
        assert not re.search(FOREIGN, limited.get(url).content.decode(), re.IGNORECASE), url


def test_pages_show_limited_staff_what_is_theirs(limited: Client, own: Channel) -> None:
    for url in (reverse("admin:index"), reverse("admin:production_task_board"), reverse(LIST)):
        assert "Own gate" in limited.get(url).content.decode(), url
    for row in rows_of(own):
        assert limited.get(change_of(row)).status_code == 200, row
        assert limited.get(change_of(row, "history")).status_code == 200, row


def test_foreign_rows_are_not_there(limited: Client, foreign: Channel) -> None:
    rows = list(rows_of(foreign))
    assert {type(row).__name__ for row in rows} >= {
        *("Task", "Take", "LedgerEntry", "Cap", "Alert", "Upload", "Channel", "SharedFile", "NotionDrift"),
    }
    for row in rows:
        for page in ("change", "history", "delete"):
            assert limited.get(change_of(row, page)).status_code == 404, (row, page)
        assert limited.post(change_of(row), {"title": "Mine"}).status_code == 404, row


def test_plan_like_a_foreign_one_names_none_of_it(limited: Client, own: Channel, foreign: Channel) -> None:
    ours, theirs = own.tasks.get(title="Own gate"), foreign.tasks.get(title="Foreign gate")
    for task, title, text in ((theirs, "Foreign gate", "Foreign"), (ours, "Foreign gate", "Own")):
        make_plan(task)
        Task.objects.filter(pk=task.pk).update(title=title, story=text)
    planning.look_over(fresh(ours))
    Task.objects.filter(pk=ours.pk).update(title="Own gate")
    assert theirs.pk in {finding["like"] for finding in fresh(ours).findings}
    html = limited.get(review_of(ours)).content.decode()
    assert "is like a video of a sister channel" in html
    assert review_of(theirs) not in html
    assert not re.search(FOREIGN, html, re.IGNORECASE)


def test_trouble_shared_with_a_foreign_task_names_none_of_it(limited: Client, own: Channel, foreign: Channel) -> None:
    """An alert bears the words of the task that it began with, and others join it."""
    ours, theirs = own.tasks.latest("pk"), foreign.tasks.latest("pk")
    for task in (theirs, ours):
        alerts.raise_alarm(f"“{task}” stopped: no credits", cause="credits", task=task)
    html = limited.get(change_of(ours)).content.decode()
    assert 'id="timeline"' in html
    assert not re.search(FOREIGN, html, re.IGNORECASE)


def test_foreign_review_is_not_there(limited: Client, foreign: Channel) -> None:
    for task in foreign.tasks.all():
        for url in (review_of(task), reverse("admin:production_task_progress", args=[task.pk])):
            assert limited.get(url).status_code == 404
        assert limited.post(review_of(task), {"verb": "cancel", "seen": ""}).status_code == 404


def test_foreign_self_test_is_not_there(limited: Client, own: Channel, foreign: Channel) -> None:
    for channel, status in ((own, 200), (foreign, 404)):
        url = reverse("admin:channels_channel_checks", args=[channel.pk])
        assert limited.get(url, headers={"HX-Request": "true"}).status_code == status
        assert limited.post(url, headers={"HX-Request": "true"}).status_code == status
    assert not foreign.checks.filter(asked__isnull=False).exists()


def test_board_of_every_channel_takes_no_deed_of_limited_staff(limited: Client) -> None:
    board = NotionBoard.objects.first_or_new()
    NotionBoard.objects.update(data_source_id="source", pending_token="pending")
    for deed in ("confirm_pasted", "forget_token", "renew_secret", "confirm_typed", "compare"):
        url = reverse(f"admin:production_notionboard_{deed}", args=[board.pk])
        assert limited.get(url).status_code == 404, deed
        assert limited.post(url, {"_form_submitted": "on"}).status_code == 404, deed
    assert NotionBoard.objects.get().active_token is None


def test_foreign_media_are_not_there(limited: Client, own: Channel, foreign: Channel) -> None:
    for channel, status in ((own, 200), (foreign, 404)):
        for take in Take.objects.filter(channel=channel, state=Take.State.DONE, kind__in=["image", "clip"]):
            reply = limited.get(reverse("take-file", args=[take.pk]))
            assert (reply.status_code, bool(b"".join(reply))) == (status, True)
    assert limited.get(reverse("branding-file", args=[foreign.slug, "intro.mp4"])).status_code == 404


def test_api_is_closed_to_people(limited: Client, foreign: Channel) -> None:
    """It has one token, of the house; being logged in opens nothing there."""
    task = foreign.tasks.first()
    assert task is not None
    for path in ("tasks", f"tasks/{task.pk}", "tasks?channel_id=1"):
        assert limited.get(f"/api/{path}").status_code == 401


def test_what_tells_of_every_channel_is_hidden(limited: Client, foreign: Channel) -> None:
    for name in ("notionevent", "notionboard", "failedjob"):
        assert not limited.get(reverse(f"admin:production_{name}_changelist")).context["cl"].result_count
    assert not limited.get(reverse("admin:auth_user_changelist")).context["cl"].result_count


# ---------------------------------------------------------------- deeds


def test_many_at_once_leaves_foreign_rows_alone(limited: Client, own: Channel, foreign: Channel) -> None:
    tasks = list(Task.objects.filter(status=Status.ASSET_ERROR))
    chosen = {"action": "retry_selected", "_selected_action": [task.pk for task in tasks], "confirmed": "1"}
    limited.post(reverse(LIST), chosen)
    assert Task.objects.get(channel=foreign, title="Foreign failure").status == Status.ASSET_ERROR


def test_differences_of_foreign_tasks_are_not_settled(limited: Client, own: Channel, foreign: Channel) -> None:
    chosen = {"action": "push_ours", "_selected_action": [drift.pk for drift in NotionDrift.objects.all()]}
    limited.post(reverse("admin:production_notiondrift_changelist"), chosen)
    assert [drift.task.channel for drift in NotionDrift.objects.exclude(side="") if drift.task] == [own]


def test_pickers_offer_own_channels_and_want_one(limited: Client, own: Channel, foreign: Channel) -> None:
    url = reverse("admin:production_cap_add")
    field = limited.get(url).context["adminform"].form.fields["channel"]
    assert list(field.queryset) == [own]
    for channel in ("", foreign.pk):
        assert limited.post(url, {"meter": "channel_month", "channel": channel, "usd": "5"}).status_code == 200
    assert not Cap.objects.filter(meter="channel_month").exists()


def test_next_and_queue_lead_to_own_tasks_only(limited: Client, own: Channel, foreign: Channel) -> None:
    url = limited.get(reverse("admin:production_task_next"))["Location"]
    assert url in {review_of(task) for task in own.tasks.all()}
    html = limited.get(url).content.decode()
    following = re.findall(r'<link rel="(?:next|prefetch)" href="([^"]+)"', html)
    assert following
    assert not [review_of(task) for task in foreign.tasks.all() if review_of(task) in html]


def test_home_counts_own_channels_only(limited: Client, foreign: Channel) -> None:
    context = limited.get(reverse("admin:index")).context
    assert (context["gates_count"], context["failed_count"], context["published"]) == (1, 1, 1)
    published, *_ = context["charts"]
    assert sum(sum(numbers) for _, numbers in published.rows) == 1


# ---------------------------------------------------------------- who is limited


def test_seen_by_follows_the_limit(own: Channel, foreign: Channel) -> None:
    everybody, limited, nobody = make_staff(), make_limited(own), make_staff()
    ChannelLimit.objects.create(user=nobody)
    counts = [asking.queue(user).count() for user in (None, make_operator(), everybody, limited, nobody)]
    assert counts == [4, 4, 4, 2, 0]
    assert access.seen_by(LedgerEntry.objects.all(), limited).count() == 1


def test_limit_that_loses_its_last_channel_opens_no_other(own: Channel) -> None:
    empty = make_channel()
    user = make_limited(empty)
    empty.delete()
    assert not access.seen_by(Task.objects.all(), user).exists()


def test_superuser_sees_everything_whatever_a_limit_says(own: Channel) -> None:
    operator = make_operator()
    ChannelLimit.objects.create(user=operator)
    assert access.seen_by(Task.objects.all(), operator).exists()


def test_limit_is_set_on_the_page_of_the_user(operator_client: Client, own: Channel) -> None:
    user = make_staff(username="lina")
    url = reverse("admin:auth_user_change", args=[user.pk])
    said = {"username": "lina", "is_active": "on", "is_staff": "on", "channel_limit-TOTAL_FORMS": "1"}
    said |= {"channel_limit-INITIAL_FORMS": "0", "channel_limit-0-channels": str(own.pk)}
    reply = operator_client.post(url, said)
    assert reply.status_code == 302, reply.context["errors"]
    assert access.channels_of(User.objects.get(pk=user.pk)) == {own.pk}
    assert "Own channel" in operator_client.get(reverse("admin:auth_user_changelist")).content.decode()


# ---------------------------------------------------------------- roles


@pytest.fixture
def roles() -> dict[str, set[str]]:
    """The groups as the migration makes them on a database where nothing is there yet, permissions included."""
    Group.objects.all().delete()
    Permission.objects.filter(codename__in=["view_task", "change_task"]).delete()
    importlib.import_module("production.migrations.0017_open_roles").open_roles(apps, None)
    return {group.name: {p.codename for p in group.permissions.all()} for group in Group.objects.all()}


def test_open_roles_makes_three_groups(roles: dict[str, set[str]]) -> None:
    assert set(roles) == {"Viewer", "Reviewer", "Operator"}
    assert roles["Viewer"] < roles["Reviewer"] < roles["Operator"]
    assert all(name.startswith("view_") for name in roles["Viewer"])
    assert roles["Reviewer"] - roles["Viewer"] == {"change_task"}
    assert not {name for name in roles["Operator"] if name.endswith(("_user", "_group", "_channellimit"))}


def test_open_roles_leaves_groups_of_operators_alone(roles: dict[str, set[str]]) -> None:
    Group.objects.get(name="Viewer").permissions.clear()
    importlib.import_module("production.migrations.0017_open_roles").open_roles(apps, None)
    assert not Group.objects.get(name="Viewer").permissions.exists()


@pytest.mark.parametrize(
    ("role", "decides", "pauses"), [("Viewer", 403, 403), ("Reviewer", 302, 403), ("Operator", 302, 200)]
)
def test_role_may_do_what_it_is_for(
    client: Client, roles: dict[str, set[str]], role: str, decides: int, pauses: int
) -> None:
    user = make_staff()
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    task = make_task(Status.ASSET_ERROR)
    assert client.get(review_of(task)).status_code == 200
    assert client.get(reverse("admin:production_task_board")).status_code == 200
    assert client.post(review_of(task), {"verb": "retry", "seen": "stale"}).status_code == decides
    reply = client.get(reverse("admin:production_provider_change", args=["video"]))
    assert (200 if reply.context and reply.context["has_change_permission"] else 403) == pauses


def test_right_to_change_people_makes_nobody_a_superuser(client: Client):
    user = make_staff("change_user", "add_user", "change_group", "add_group", "view_user")
    client.force_login(user)
    for model, pk in (("user", user.pk), ("group", Group.objects.create(name="Others").pk)):
        assert client.post(reverse(f"admin:auth_{model}_change", args=[pk]), {"is_superuser": "on"}).status_code == 403
        assert client.post(reverse(f"admin:auth_{model}_add")).status_code == 403
    operator = make_operator()
    password = {"password1": "another-password-9", "password2": "another-password-9"}
    assert client.post(reverse("admin:auth_user_password_change", args=[operator.pk]), password).status_code == 403
