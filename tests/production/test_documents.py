"""Documents of the hand-run process: read, written, and never a crash."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from production import documents
from tests.production.plans import Json, plans


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_write_and_read_again_is_the_same_plan(plan: Json):
    with tempfile.TemporaryDirectory() as folder:
        documents.write(plan, Path(folder))
        reading = documents.read(Path(folder))
    assert [str(fault) for fault in reading.faults] == []
    assert reading.plan == plan
