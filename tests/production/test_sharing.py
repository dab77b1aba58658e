"""A creator finds film, composites and images in the Notion row: attached, or linked from a bucket."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests
from botocore.exceptions import ClientError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from channels_app.models import Storage, Token
from config.supervisor import free_port
from production import budget, lifecycle, notion, outbox, sharing, sweep, workspace
from production.models import Alert, NotionBoard, Provider, SharedFile, Sharing, Take, Task
from production.stages import STAGE, Status, Verb
from sandbox.client import SandboxClient
from tests.factories import fresh, make_channel, make_production, make_take
from tests.rings import rings
from tests.sandboxes import make_board
from tests.vendor import answering
from tests.waiting import eventually

pytestmark = pytest.mark.django_db
MEGABYTE = 1024 * 1024


@pytest.fixture
def page(vendors: SandboxClient) -> Iterator[str]:
    yield vendors.create_page(make_board(vendors, "Sea Stories"), {"Title": "Bees"})["id"]
    vendors.set_notion_plan(paid=True)


def made(page: str, status: Status = Status.ASSETS_READY, storage: str = Storage.NOTION) -> Task:
    """Three images lie at the gate, and Notion has heard of it."""
    task = make_production(status, page_id=page, channel=make_channel(storage=storage))
    outbox.tell(task.pk)
    return task


def files(page: str) -> list[dict]:
    with notion.asking("it") as api:
        return list(api.pages.retrieve(page)["properties"]["Assets"]["files"])


def names(page: str) -> list[str]:
    return [file["name"] for file in files(page)]


def content(file: dict) -> bytes:
    return requests.get(file[file["type"]]["url"], timeout=10).content


def accepted(vendors: SandboxClient, operation: str) -> int:
    return sum(call["accepted"] for call in vendors.calls("notion", operation))


def again(task: Task) -> None:
    """Its time has come."""
    Sharing.objects.update(due_at=timezone.now(), lease_until=None)
    sharing.share(task.pk)


def big(take: Take, size: int) -> bytes:
    """The take's file is so large."""
    data = os.urandom(size)
    workspace.file_of(take).write_bytes(data)
    return data


# ---------------------------------------------------------------- attached


def test_share_attaches_what_a_stage_has_made(vendors: SandboxClient, page: str, do):
    task = made(page)
    do(sweep.tick)
    assert (sharing.JOB, (task.pk,)) in set(rings())
    sharing.share(task.pk)
    assert names(page) == ["image 1.png", "image 2.png", "image 3.png"]
    first = task.takes.get(kind="image", position=1)
    assert content(files(page)[0]) == workspace.file_of(first).read_bytes()
    assert fresh(task.sharing).due_at is None
    assert sharing.due() == []


def test_share_nothing_while_a_stage_runs_or_where_the_channel_wants_none(page: str):
    task = made(page, Status.GENERATING_VIDEO)
    assert not Sharing.objects.exists()
    task.channel.storage = Storage.NONE
    task.channel.save()
    lifecycle.move(task, Verb.FINISH, by="system", stage=STAGE["video"])
    outbox.tell(task.pk)
    assert not Sharing.objects.exists()


def test_share_uploads_each_file_once(vendors: SandboxClient, page: str):
    task = made(page)
    before = accepted(vendors, "file_uploads.send")
    sharing.share(task.pk)
    again(task)
    make_take(task, "composite", 1)
    again(task)
    assert accepted(vendors, "file_uploads.send") == before + 4
    assert names(page) == ["composite 1.png", "image 1.png", "image 2.png", "image 3.png"]
    assert content(files(page)[3]) == workspace.file_of(task.takes.get(kind="image", position=3)).read_bytes()


def test_share_shows_what_is_selected_now(vendors: SandboxClient, page: str):
    task = made(page)
    sharing.share(task.pk)
    redone = make_take(task, "image", 2)
    data = big(redone, 1000)
    again(task)
    assert names(page) == ["image 1.png", "image 2.png", "image 3.png"]
    assert content(files(page)[1]) == data


@pytest.mark.parametrize("operation", ["file_uploads.send", "file_uploads.create", "pages.update"])
@pytest.mark.parametrize("kind", ["lost_reply", "drop"])
def test_share_goes_on_after_a_broken_request(vendors: SandboxClient, page: str, operation: str, kind: str):
    """As after a restart in its midst: what Notion has is not sent again."""
    task = made(page)
    before = accepted(vendors, "file_uploads.send")
    vendors.plan_fault("notion", kind, operation)
    sharing.share(task.pk)
    assert fresh(task.sharing).tries == 1
    assert "no answer" in fresh(task.sharing).trouble
    again(task)
    assert names(page) == ["image 1.png", "image 2.png", "image 3.png"]
    assert accepted(vendors, "file_uploads.send") == before + 3
    assert fresh(task.sharing).tries == 0


def test_share_a_film_in_parts_and_goes_on_where_it_was(vendors: SandboxClient, page: str):
    task = made(page, Status.FINAL_REVIEW)
    task.takes.exclude(kind="film").update(selected=False)
    film = big(task.takes.get(kind="film"), 25 * MEGABYTE)
    before = accepted(vendors, "file_uploads.send")
    vendors.plan_fault("notion", "lost_reply", "file_uploads.send")
    sharing.share(task.pk)
    assert accepted(vendors, "file_uploads.send") == before + 1, "the first part has got there"
    again(task)
    assert accepted(vendors, "file_uploads.send") == before + 3
    assert names(page) == ["film.mp4"]
    assert content(files(page)[0]) == film


def test_share_in_a_free_workspace_leaves_out_what_is_too_large(
    vendors: SandboxClient, page: str, operator_client: Client
):
    vendors.set_notion_plan(paid=False)
    task = made(page, Status.FINAL_REVIEW)
    film = task.takes.get(kind="film")
    big(film, 6 * MEGABYTE)
    before = len(vendors.calls("notion", "users.me"))
    sharing.share(task.pk)
    assert "film.mp4" not in names(page)
    assert "image 1.png" in names(page)
    assert film.shared.left_out == "it has 6.3 MB; the Notion workspace's plan takes 5.2 MB a file"
    assert "6.3 MB" in operator_client.get("/admin/production/sharedfile/").content.decode()
    again(task)
    assert len(vendors.calls("notion", "users.me")) == before + 1, "asked once a day"
    vendors.set_notion_plan(paid=True)
    NotionBoard.objects.update(file_limit_read=timezone.now() - dt.timedelta(days=2))
    again(task)
    assert names(page)[0] == "film.mp4"


def test_share_sends_again_what_nobody_attached_in_time(vendors: SandboxClient, page: str):
    task = made(page)
    vendors.plan_fault("notion", "drop", "pages.update")
    sharing.share(task.pk)
    long_ago = timezone.now() - 2 * sharing.UNATTACHED
    first = SharedFile.objects.order_by("take").first()
    gone = SharedFile.objects.exclude(pk=first.pk)
    gone.update(sent=long_ago)  # of which Notion says that they are there still
    SharedFile.objects.filter(pk=first.pk).update(sent=long_ago, ref="11111111-1111-4111-8111-111111111111")
    before = accepted(vendors, "file_uploads.send")
    again(task)
    assert accepted(vendors, "file_uploads.send") == before + 1
    assert len(names(page)) == 3


def test_share_is_the_last_in_line_for_the_budget(vendors: SandboxClient, page: str):
    task = made(page)
    Provider.objects.filter(pk=budget.NOTION).update(rate_calls=10)
    before = len(vendors.calls("notion"))
    sharing.share(task.pk)
    assert len(vendors.calls("notion")) - before <= 4
    waiting = fresh(task.sharing)
    assert waiting.due_at > timezone.now()
    assert (waiting.tries, waiting.lease_until) == (0, None), "nobody waits, and nothing has failed"
    budget.spend(budget.Use.STATUS)
    Provider.objects.filter(pk=budget.NOTION).update(rate_calls=180)
    again(task)
    assert len(names(page)) == 3


def test_share_one_at_a_time(vendors: SandboxClient, page: str):
    task = made(page)
    Sharing.objects.update(lease_until=timezone.now() + sharing.LEASE)
    before = len(vendors.calls("notion"))
    sharing.share(task.pk)
    assert (sharing.due(), len(vendors.calls("notion"))) == ([], before)


def test_share_of_a_deleted_row_ends(vendors: SandboxClient, page: str):
    task = made(page)
    Task.objects.update(page_id="22222222-2222-4222-8222-222222222222")
    sharing.share(task.pk)
    assert fresh(task.sharing).due_at is None


def test_an_hour_in_vain_is_one_alert_and_resumed(vendors: SandboxClient, page: str):
    task = made(page)
    Sharing.objects.update(tries=sharing.UNHEARD_TRIES - 1)
    vendors.plan_fault("notion", "drop", "file_uploads.create", times=2)
    sharing.share(task.pk)
    again(task)
    (alert,) = Alert.objects.all()
    assert "have not reached its row for an hour" in alert.message
    again(task)
    assert fresh(alert).closed
    assert len(names(page)) == 3


def test_files_whose_workspace_is_gone_are_left_out(vendors: SandboxClient, page: str):
    task = made(page)
    workspace.remove(task)
    sharing.share(task.pk)
    assert names(page) == []
    assert {file.left_out for file in SharedFile.objects.all()} == {"its file is not there any more"}


def test_files_that_notion_has_are_shown_again_without_their_workspace(vendors: SandboxClient, page: str):
    task = made(page)
    sharing.share(task.pk)
    workspace.remove(task)
    SharedFile.objects.update(attached=None, sent=timezone.now() - 2 * sharing.UNATTACHED)
    notion.write(page, notion.Row(files=[]))
    again(task)
    assert len(names(page)) == 3
    assert {file.left_out for file in SharedFile.objects.all()} == {""}


# ---------------------------------------------------------------- linked


@pytest.fixture(scope="session")
def s3_address() -> Iterator[str]:
    """moto's server, an S3 on this machine."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}"
        eventually(lambda: _answers(address), 60)
        yield address
        server.terminate()


def _answers(address: str) -> bool:
    try:
        return requests.get(address, timeout=2).ok
    except requests.RequestException:
        return False


@pytest.fixture
def bucket(s3_address: str, settings: Settings):
    settings.S3_BUCKET, settings.S3_ENDPOINT_URL, settings.S3_REGION = "films", s3_address, "auto"
    settings.S3_ACCESS_KEY_ID, settings.S3_SECRET_ACCESS_KEY = "key", "secret"
    words = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    client = boto3.client("s3", endpoint_url=s3_address, **words)
    for name in ("films", "own"):
        client.create_bucket(Bucket=name)
    yield client
    for name in ("films", "own"):
        for item in client.list_objects_v2(Bucket=name).get("Contents", []):
            client.delete_object(Bucket=name, Key=item["Key"])
        client.delete_bucket(Bucket=name)
    client.close()


def keys(client, name: str = "films") -> list[str]:
    return [item["Key"] for item in client.list_objects_v2(Bucket=name).get("Contents", [])]


def test_share_links_objects_for_a_week(vendors: SandboxClient, page: str, bucket):
    task = made(page, storage=Storage.S3)
    sharing.share(task.pk)
    assert names(page) == ["image 1.png", "image 2.png", "image 3.png"]
    image = task.takes.get(kind="image", position=1)
    url = files(page)[0]["external"]["url"]
    assert content(files(page)[0]) == workspace.file_of(image).read_bytes()
    said = parse_qs(urlsplit(url).query)
    assert (said["X-Amz-Algorithm"], said["X-Amz-Expires"]) == (["AWS4-HMAC-SHA256"], ["604800"])
    assert "/auto/s3/" in said["X-Amz-Credential"][0]
    assert f"{task.channel.slug}/{task.pk}/{image.pk}-image-1.png" in keys(bucket)
    due = fresh(task.sharing).due_at - timezone.now()
    assert dt.timedelta(days=5, hours=23) < due < dt.timedelta(days=6, hours=1)


def test_share_renews_links_before_they_end_and_stores_nothing_twice(vendors: SandboxClient, page: str, bucket):
    task = made(page, storage=Storage.S3)
    sharing.share(task.pk)
    stored = {item["Key"]: item["LastModified"] for item in bucket.list_objects_v2(Bucket="films")["Contents"]}
    SharedFile.objects.update(until=timezone.now() + dt.timedelta(hours=20))
    writes = accepted(vendors, "pages.update")
    again(task)
    assert accepted(vendors, "pages.update") == writes + 1
    assert SharedFile.objects.filter(until__gt=timezone.now() + dt.timedelta(days=6)).count() == 3
    now = {item["Key"]: item["LastModified"] for item in bucket.list_objects_v2(Bucket="films")["Contents"]}
    assert now == stored
    again(task)
    assert accepted(vendors, "pages.update") == writes + 1, "the row shows it already"


def test_share_stops_renewing_long_after_publishing(vendors: SandboxClient, page: str, bucket):
    task = made(page, Status.PUBLISHED, storage=Storage.S3)
    Task.objects.update(status_since=timezone.now() - sharing.RENEWED_FOR - dt.timedelta(days=1))
    sharing.share(task.pk)
    assert names(page)[0] == "film.mp4"
    last = SharedFile.objects.order_by("-until").first()
    assert fresh(task.sharing).due_at == last.until


def test_share_deletes_objects_when_their_last_address_has_ended(vendors: SandboxClient, page: str, bucket):
    task = made(page, Status.PUBLISHED, storage=Storage.S3)
    sharing.share(task.pk)
    Task.objects.update(status_since=timezone.now() - sharing.RENEWED_FOR - dt.timedelta(days=1))
    assert keys(bucket)
    SharedFile.objects.update(until=timezone.now())
    writes = accepted(vendors, "pages.update")
    again(task)
    assert (keys(bucket), SharedFile.objects.count(), fresh(task.sharing).due_at) == ([], 0, None)
    assert accepted(vendors, "pages.update") == writes, "no address is renewed for that"


def test_share_deletes_the_object_of_a_take_that_the_row_shows_no_more(vendors: SandboxClient, page: str, bucket):
    task = made(page, storage=Storage.S3)
    sharing.share(task.pk)
    former = task.takes.get(kind="image", position=1)
    newer = make_take(task, "image", 1)
    again(task)
    found = keys(bucket)
    assert (len(found), len(files(page))) == (3, 3)
    assert not [key for key in found if f"/{former.pk}-" in key]
    assert [key for key in found if f"/{newer.pk}-" in key]


def test_share_what_the_bucket_does_not_let_go_keeps_nothing_from_its_row(
    vendors: SandboxClient, page: str, bucket, settings: Settings
):
    task = made(page, storage=Storage.S3)
    sharing.share(task.pk)
    task.takes.filter(kind="image", position=1).update(selected=False)
    with answering(403, b"<Error><Code>AccessDenied</Code></Error>") as (address, _):
        settings.S3_ENDPOINT_URL = address
        again(task)
    assert names(page) == ["image 2.png", "image 3.png"]
    assert (fresh(task.sharing).trouble, SharedFile.objects.count(), len(keys(bucket))) == ("", 3, 3)


def test_share_leaves_the_row_to_a_newer_run_of_its_page(vendors: SandboxClient, page: str, bucket):
    first = made(page, Status.PUBLISHED, storage=Storage.S3)
    sharing.share(first.pk)
    second = make_production(Status.ASSETS_READY, page_id=page, channel=first.channel)
    outbox.tell(second.pk)
    sharing.share(second.pk)
    shown, stored = files(page), keys(bucket)
    SharedFile.objects.filter(take__task=first).update(until=timezone.now() + dt.timedelta(hours=20))
    again(first)
    assert (files(page), keys(bucket)) == (shown, stored), "its last address has not ended"
    last = SharedFile.objects.filter(take__task=first).order_by("-until").first()
    assert fresh(first.sharing).due_at == last.until
    SharedFile.objects.filter(take__task=first).update(until=timezone.now())
    again(first)
    assert files(page) == shown
    assert {key.split("/")[1] for key in keys(bucket)} == {str(second.pk)}
    assert fresh(first.sharing).due_at is None


def test_share_attaches_nothing_where_a_newer_run_has_the_row(vendors: SandboxClient, page: str):
    first = made(page, Status.PUBLISHED)
    second = make_production(Status.ASSETS_READY, page_id=page, channel=first.channel)
    outbox.tell(second.pk)
    sharing.share(second.pk)
    shown = names(page)
    again(first)
    assert (names(page), fresh(first.sharing).due_at) == (shown, None)


def test_share_lets_go_again_what_the_bucket_could_not_delete_for_now(
    vendors: SandboxClient, page: str, bucket, settings: Settings, s3_address: str
):
    task = made(page, Status.PUBLISHED, storage=Storage.S3)
    sharing.share(task.pk)
    Task.objects.update(status_since=timezone.now() - sharing.RENEWED_FOR - dt.timedelta(days=1))
    SharedFile.objects.update(until=timezone.now())
    with answering(503) as (address, _):
        settings.S3_ENDPOINT_URL = address
        again(task)
    assert (fresh(task.sharing).tries, SharedFile.objects.count()) == (1, len(keys(bucket)))
    assert fresh(task.sharing).due_at is not None
    settings.S3_ENDPOINT_URL = s3_address
    again(task)
    assert (keys(bucket), SharedFile.objects.count(), fresh(task.sharing).due_at) == ([], 0, None)


def test_let_go_renews_its_lease(vendors: SandboxClient, page: str, bucket):
    """A hundred objects at a slow bucket take longer than one."""
    task = made(page, storage=Storage.S3)
    sharing.share(task.pk)
    Sharing.objects.update(lease_until=timezone.now())
    sharing._Bucket(fresh(task.sharing)).let_go(SharedFile.objects.filter(take__task=task))
    assert keys(bucket) == []
    assert fresh(task.sharing).lease_until > timezone.now() + sharing.LEASE / 2


def test_share_after_a_crash_before_it_was_noted_stores_nothing_twice(vendors: SandboxClient, page: str, bucket):
    task = made(page, storage=Storage.S3)
    sharing.share(task.pk)
    stored = bucket.list_objects_v2(Bucket="films")["Contents"]
    SharedFile.objects.update(sent=None, attached=None)
    again(task)
    assert bucket.list_objects_v2(Bucket="films")["Contents"] == stored


def test_a_channels_own_bucket_goes_before_the_common_one(vendors: SandboxClient, page: str, bucket):
    task = made(page, storage=Storage.S3)
    Token.objects.create(channel=task.channel, name="S3_BUCKET", value="own")
    sharing.share(task.pk)
    assert (len(keys(bucket, "own")), keys(bucket)) == (3, [])


def test_share_says_what_is_not_set(vendors: SandboxClient, page: str):
    task = made(page, storage=Storage.S3)
    sharing.share(task.pk)
    said = fresh(task.sharing).trouble
    assert said.startswith("Set S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY")


def test_share_into_no_bucket_tries_again(vendors: SandboxClient, page: str, bucket, settings: Settings):
    settings.S3_BUCKET = "elsewhere"
    task = made(page, storage=Storage.S3)
    sharing.share(task.pk)
    assert "NoSuchBucket" in fresh(task.sharing).trouble
    assert fresh(task.sharing).tries == 1
    settings.S3_BUCKET = "films"
    again(task)
    assert len(names(page)) == 3


def test_a_channel_that_moves_to_a_bucket_brings_its_files_along(vendors: SandboxClient, page: str, bucket):
    task = made(page)
    sharing.share(task.pk)
    task.channel.storage = Storage.S3
    task.channel.save()
    again(task)
    assert [file["type"] for file in files(page)] == ["external"] * 3
    with pytest.raises(ClientError):
        bucket.head_object(Bucket="films", Key="nothing")
