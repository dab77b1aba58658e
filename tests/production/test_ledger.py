"""Money: the intent before the call, the outcome after it, and what a line counts for."""

from decimal import Decimal

import pytest

from production import ledger
from production.models import LedgerEntry, Take
from production.stages import Status
from tests.factories import make_ledger_entry, make_take, make_task, reserve

pytestmark = pytest.mark.django_db
State = LedgerEntry.State
PRICE = Decimal("0.42")


@pytest.fixture
def take() -> Take:
    take = make_take(make_task(Status.GENERATING_VIDEO), "clip", 1, state=Take.State.WAITING, attempt=1)
    reserve(take)
    return take


def line(take: Take) -> LedgerEntry:
    return take.ledger.counted().get(attempt=take.attempt)


@pytest.mark.parametrize(
    ("close", "state", "usd", "settled"),
    [
        (lambda take: None, State.RESERVED, PRICE, False),
        (lambda take: ledger.submitted(take), State.SUBMITTED, PRICE, False),
        (lambda take: ledger.settle(take, Decimal("0.275")), State.SETTLED, Decimal("0.275"), True),
        (lambda take: ledger.settle(take, None), State.SETTLED, PRICE, True),
        (lambda take: ledger.settle(take, Decimal(0)), State.SETTLED, Decimal(0), True),
        (lambda take: ledger.release(take, "never sent"), State.RELEASED, Decimal(0), True),
        (lambda take: ledger.unknown(take, "reply lost"), State.UNKNOWN, PRICE, False),
        (lambda take: ledger.write_off(take, "can't be asked"), State.WRITTEN_OFF, PRICE, True),
    ],
    ids=["reserved", "submitted", "settled", "settled unsaid", "settled free", "released", "unknown", "written off"],
)
def test_line_counts_for(take, close, state, usd, settled):
    close(take)
    found = line(take)
    assert (found.state, found.usd, bool(found.settled_at)) == (state, usd, settled)
    assert LedgerEntry.objects.total() == usd


@pytest.mark.parametrize("end", [ledger.release, ledger.write_off], ids=["released", "written off"])
def test_closed_line_is_never_opened_again(take, end):
    end(take, "over")
    before = line(take).state
    ledger.settle(take, Decimal(9))
    ledger.unknown(take, "late")
    assert (line(take).state, line(take).actual_usd) == (before, None)


def test_unknown_line_is_settled_when_the_render_turns_up(take):
    ledger.unknown(take, "reply lost")
    ledger.settle(take, Decimal("0.40"))
    assert (line(take).state, line(take).usd) == (State.SETTLED, Decimal("0.40"))


def test_another_attempt_gets_its_own_line(take):
    ledger.write_off(take, "lost")
    take.attempt = 2
    take.save()
    reserve(take)
    ledger.settle(take, Decimal("0.30"))
    assert LedgerEntry.objects.total() == PRICE + Decimal("0.30")
    assert ledger.intended(take) == PRICE


def test_intended_is_nothing_for_what_is_free():
    take = make_take(make_task(Status.GENERATING_COMPOSITES), "composite", 1)
    assert ledger.intended(take) == 0


def test_reserve_marks_simulated_calls(settings):
    settings.ADDRESSES = settings.ADDRESSES | {"KIE_BASE_URL": "http://127.0.0.1:1"}
    take = make_take(make_task(Status.GENERATING_VIDEO), "clip", 1, state=Take.State.WAITING)
    reserve(take)
    assert take.ledger.get().simulated


def test_note_is_cut_to_its_column(take):
    ledger.release(take, "x" * 1000)
    assert len(line(take).note) == 300


def test_total_of_nothing_is_zero():
    assert LedgerEntry.objects.total() == 0


def test_line_names_its_take_and_state(take):
    assert str(line(take)) == "clip 1: Reserved"
    assert str(make_ledger_entry(make_take(take.task, "image", 3, attempt=1), "0.03")) == "image 3: Settled"
