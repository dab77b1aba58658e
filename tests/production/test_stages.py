"""The stage table, checked against a second one written by hand."""

import itertools

import pytest

from production.errors import IllegalMoveError
from production.stages import (
    ERRORS,
    HOLDING,
    PIECE,
    PIECES,
    STAGE,
    STAGES,
    Stage,
    Status,
    Verb,
    legal_pairs,
    moves,
    stage_of,
    target,
    verbs_for,
)

# stage: waits in, running, ready, review, approved, error, lines up in
BY_HAND = {
    "assets": "claimed generating_assets assets_ready assets_ready assets_approved asset_error queued",
    "composites": "assets_approved generating_composites composites_ready composites_ready composites_ready"
    " asset_error assets_approved",
    "video": "composites_ready generating_video video_ready video_ready video_approved video_error composites_ready",
    "audio": "video_approved generating_audio audio_ready audio_ready audio_approved audio_error video_approved",
    "sfx": "audio_approved generating_sfx sfx_ready sfx_ready sfx_ready audio_error audio_approved",
    "assembly": "sfx_ready assembling assembly_ready final_review approved video_error sfx_ready",
    "upload": "approved uploading published - - upload_error approved",
}


def expected() -> dict[tuple[str, str, str], str]:
    """(status, verb, stage or "") -> status."""
    table = {("draft", "submit", ""): "queued", ("queued", "claim", ""): "claimed"}
    table |= {(s.value, "cancel", ""): "draft" for s in Status if s not in ("draft", "published")}
    lines_up = {name: words.split()[-1] for name, words in BY_HAND.items()}
    for index, (name, words) in enumerate(BY_HAND.items()):
        waits, running, ready, review, approved, error, again = words.split()
        table |= {
            (waits, "start", name): running,
            (running, "finish", name): ready,
            (running, "fail", name): error,
            (error, "retry", name): again,
            (error, "adopt", name): ready,
        }
        if review != "-":
            table |= {
                (review, "approve", name): approved,
                (review, "reject", name): error,
                (review, "redo", name): running,
                (error, "redo", name): running,
            }
            table |= {(decided, "undo", name): review for decided in {approved, error}}
        if name == "assets":
            table["queued", "undo", name] = review
        if review not in ("-", ready):
            table[ready, "present", name] = review
        for place, earlier in itertools.product({review, approved, error} - {"-"}, list(BY_HAND)[: index + 1]):
            if place != lines_up[earlier]:
                table[place, "send_back", earlier] = lines_up[earlier]
    return table


EXPECTED = expected()


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("status", Status)
def test_target_every_status_verb_and_stage(status: Status, verb: Verb):
    legal = {stage: after for (s, v, stage), after in EXPECTED.items() if (s, v) == (status, verb)}
    for stage in (None, *STAGES):
        name = stage.name if stage else ""
        if name in legal:
            assert target(status, verb, stage) == (legal[name], stage)
        elif stage is None and len(legal) == 1:
            (only, after), *_ = legal.items()
            assert target(status, verb) == (after, STAGE[only])
        else:
            assert_refused(status, verb, stage, legal)


def assert_refused(status: Status, verb: Verb, stage: Stage | None, legal: dict[str, str]) -> None:
    with pytest.raises(IllegalMoveError) as refused:
        target(status, verb, stage)
    sentence = str(refused.value)
    assert sentence.endswith(".")
    assert verb in sentence
    assert status.label in sentence
    assert all(name in sentence for name in legal)
    assert legal or all(v in sentence for v in verbs_for(status))


def test_moves_has_nothing_but_the_expected():
    found = {(s.value, v.value, stage): after for (s, v), by in moves().items() for stage, after in by.items()}
    assert found == EXPECTED


def test_status_has_26_with_labels_that_name_one_each():
    assert len(Status) == len(set(Status.labels)) == 26
    assert {label: Status(value) for value, label in Status.choices} == {s.label: s for s in Status}


def test_status_each_is_reachable_from_draft():
    reached, edge = {Status.DRAFT}, {Status.DRAFT}
    while edge:
        edge = {after for before, after in legal_pairs() if before in edge} - reached
        reached |= edge
    assert reached == set(Status)


def test_legal_pairs_published_is_the_end():
    assert not [pair for pair in legal_pairs() if pair[0] == Status.PUBLISHED]
    assert all(before != after for before, after in legal_pairs())


def test_target_published_says_that_nothing_is_possible():
    with pytest.raises(IllegalMoveError, match="possible: nothing"):
        target(Status.PUBLISHED, Verb.CANCEL)


def test_target_shared_error_wants_its_stage_named():
    with pytest.raises(IllegalMoveError, match="only with the stage named"):
        target(Status.AUDIO_ERROR, Verb.RETRY)
    with pytest.raises(IllegalMoveError, match="not for Video"):
        target(Status.AUDIO_ERROR, Verb.RETRY, STAGE["video"])


def test_stage_of_every_status():
    without = {Status.DRAFT, Status.QUEUED, Status.CLAIMED, *ERRORS}
    for status in Status:
        stage = stage_of(status)
        assert (stage is None) == (status in without)
        assert stage is None or status in (stage.running, stage.ready, stage.review, stage.approved)


def test_holding_statuses_keep_a_slot():
    assert {Status.CLAIMED} | {stage.running for stage in STAGES} == HOLDING


def test_pieces_belong_to_stages_and_every_stage_has_one():
    assert {piece.stage for piece in PIECES} == set(STAGE)
    assert {piece.kind for piece in PIECES if not piece.is_script} == {"plan", "upload"}
    assert {kind for kind, piece in PIECE.items() if piece.paid} == {"plan", "image", "clip", "narration", "sound"}
    assert all(piece.secrets for piece in PIECES if piece.paid and piece.is_script)
