"""Whose address it is, what it costs, and when it is tried again."""

import datetime as dt
from contextlib import nullcontext
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from production import providers
from production.errors import Kind, Trouble
from production.models import Provider
from production.stages import PIECE

PACIFIC = ZoneInfo("America/Los_Angeles")
IMAGES = Provider(name="images", quota_zone="America/Los_Angeles")


def minutes(trouble: Trouble, tries: int) -> float | None:
    due = providers.next_try(trouble, tries, IMAGES)
    return None if due is None else (due - timezone.now()).total_seconds() / 60


@pytest.mark.parametrize(("tries", "pause"), [(1, 1), (2, 5), (3, 15), (4, 60)])
def test_next_try_waits_longer_each_time_with_a_tenth_of_jitter(tries, pause):
    found = [minutes(Trouble(Kind.TRANSIENT, "x"), tries) for _ in range(50)]
    assert all(0.89 * pause <= each <= 1.11 * pause for each in found)
    assert max(found) - min(found) > 0.05 * pause


def test_next_try_ends_after_five_attempts():
    assert minutes(Trouble(Kind.TRANSIENT, "x"), 5) is None
    assert providers.most_tries() == 5


@pytest.mark.parametrize("kind", [Kind.PERMANENT, Kind.REFUSED, Kind.UNKNOWN])
def test_next_try_never_by_itself(kind):
    assert providers.next_try(Trouble(kind, "x", retry_after=5), 1, IMAGES) is None


def test_next_try_heeds_a_longer_wish_of_the_vendor():
    assert minutes(Trouble(Kind.TRANSIENT, "x", retry_after=1200), 1) == pytest.approx(20, abs=0.2)
    assert minutes(Trouble(Kind.TRANSIENT, "x", retry_after=3), 1) > 0.8
    assert minutes(Trouble(Kind.TRANSIENT, "x", retry_after=0), 3) == pytest.approx(0, abs=0.1)
    assert minutes(Trouble(Kind.QUOTA, "x", retry_after=600), 1) == pytest.approx(10, abs=0.2)


@pytest.mark.parametrize(
    ("now", "reset"),
    [
        ("2026-11-22T23:00:00+00:00", "2026-11-23T08:00:00+00:00"),
        ("2026-07-01T06:59:00+00:00", "2026-07-01T07:00:00+00:00"),
        ("2026-07-01T07:00:00+00:00", "2026-07-02T07:00:00+00:00"),
        ("2026-03-08T09:30:00+00:00", "2026-03-09T07:00:00+00:00"),  # spring forward: a day of 23 hours
        ("2026-11-01T08:30:00+00:00", "2026-11-02T08:00:00+00:00"),  # fall back: a day of 25 hours
    ],
)
def test_quota_reset_is_midnight_of_its_zone(now, reset):
    found = providers.quota_reset(IMAGES, dt.datetime.fromisoformat(now))
    assert found == dt.datetime.fromisoformat(reset)


@given(st.integers(1_700_000_000, 2_000_000_000).map(lambda at: dt.datetime.fromtimestamp(at, dt.UTC)))
def test_quota_reset_is_the_next_midnight(now):
    found = providers.quota_reset(IMAGES, now)
    assert now < found <= now + dt.timedelta(hours=25)
    assert found.astimezone(PACIFIC).time() == dt.time()


@pytest.mark.parametrize(
    ("address", "own"),
    [
        ("https://api.kie.ai", True),
        ("https://api.kie.ai/", True),
        ("http://api.kie.ai", False),
        ("https://api.kie.ai:8443", False),
        ("https://api.kie.ai.evil.example", False),
        ("http://127.0.0.1:5000", False),
    ],
)
def test_is_own_address(settings, address, own):
    settings.ADDRESSES = settings.ADDRESSES | {"KIE_BASE_URL": address}
    assert providers.is_own_address("KIE_BASE_URL") is own
    assert providers.is_simulated(PIECE["clip"]) is not own
    assert not providers.is_simulated(PIECE["image"])
    assert not providers.is_simulated(PIECE["film"])


def test_cluster_of_lanes():
    assert {lane: providers.cluster(lane) for lane in ("ffmpeg", "upload", "video", "planning")} == {
        "ffmpeg": "cpu",
        "upload": "cpu",
        "video": "calls",
        "planning": "cpu",
    }


def test_price_of_what_nobody_is_paid_for_is_nothing():
    """It has no line in the ledger: a sum set aside for it would never be settled."""
    assert providers.price(Provider(name="ffmpeg", prices={"film": "0.05"}), "film") == 0


@pytest.mark.parametrize(("price", "holds"), [("0.0336", True), ("0.03365", False), ("1e3", False), ("NaN", False)])
def test_price_has_no_more_decimals_than_the_ledger(price, holds):
    lane = Provider(name="images")
    lane.prices = {"image": price}
    with nullcontext() if holds else pytest.raises(ValidationError, match="4 decimals"):
        lane.clean()
