"""The factories keep the product's own rules."""

import pytest

from production import gates, recipes, workspace
from production.models import Take
from production.stages import REVIEWS, STAGE, Status
from tests.factories import make_production, make_take, make_task

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", list(Status))
def test_make_task_walks_to_every_status(status: Status) -> None:
    assert make_task(status).status == status


def test_make_task_remembers_the_stage_that_failed() -> None:
    task = make_task(Status.ASSET_ERROR, failed="composites", reason="no hero")
    assert task.changes.last().stage == "composites"
    assert task.changes.last().reason == "no hero"


@pytest.mark.parametrize("status", list(REVIEWS))
def test_make_production_makes_what_the_stage_would(status: Status) -> None:
    task = make_production(status)
    stage = REVIEWS[status]
    needs = recipes.needs(task, stage)
    assert needs
    for need in needs:
        take = task.takes.of(*need.key).get(selected=True)
        assert take.fingerprint == need.recipe.fingerprint
        assert workspace.file_of(take).stat().st_size == take.size


def test_make_take_twice_selects_the_newer() -> None:
    task = make_task(Status.ASSETS_READY)
    first, second = make_take(task, "image", 1), make_take(task, "image", 1, usd="0.03")
    first.refresh_from_db()
    assert (first.selected, second.selected, second.number) == (False, True, 2)
    assert second.ledger.total() == second.ledger.get().actual_usd
    assert gates.is_gate_open(task, STAGE["assets"])
    assert Take.objects.in_flight().count() == 0
