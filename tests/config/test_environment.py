"""Nothing of a hostile shell or a `.env` reaches a rehearsal."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config import environment
from sandbox import kie
from tests import ROOT

ADDRESSES = {name: f"http://127.0.0.1:90{number:02}" for number, name in enumerate(sorted(environment.ADDRESSES))}
REAL = "sk-live-0123456789"


@pytest.fixture
def _hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [
        name
        for vendor in environment.VENDORS
        for name in (*vendor.keys, *vendor.addresses, *vendor.choices, *vendor.extras)
    ]
    others = "DATABASE_URL ENV_FILE SCRIPTS_ENV_FILE SECRET_KEY ENCRYPTION_KEY HTTPS_PROXY https_proxy all_proxy PGHOST"
    more = (
        "GOOGLE_APPLICATION_CREDENTIALS AWS_SECRET_ACCESS_KEY WORKSPACE_ROOT SCRIPTS_DIR TOMORROWS_API_KEY PYTHONPATH"
    )
    for name in [*names, *others.split(), *more.split()]:
        monkeypatch.setenv(name, f"https://real.example/{REAL}")


@pytest.mark.usefixtures("_hostile")
def test_rehearsal_in_a_hostile_shell_lets_nothing_through() -> None:
    made = environment.rehearsal(ADDRESSES, DATABASE_URL="postgres://app@/demo?host=/run")
    assert not [name for name, value in made.items() if REAL in value]
    assert made["ENV_FILE"] == made["SCRIPTS_ENV_FILE"] == ""
    assert made["DATABASE_URL"] == "postgres://app@/demo?host=/run"
    assert made["PATH"] == os.environ["PATH"]


@pytest.mark.usefixtures("_hostile")
def test_rehearsal_reaches_a_child_process_as_it_is() -> None:
    made = environment.rehearsal(ADDRESSES)
    command = [sys.executable, "-c", "import os; print(dict(os.environ))"]
    seen = subprocess.run(command, env=made, capture_output=True, check=True, text=True).stdout
    assert REAL not in seen
    assert "sandbox-kie_api_key" in seen


@pytest.mark.usefixtures("_hostile")
def test_run_sealed_shows_a_command_only_what_is_harmless() -> None:
    show = [sys.executable, "-c", "import os; print(dict(os.environ))", "a=b"]
    command = [sys.executable, "-m", "config.environment", "GREETING=hello=you", *show]
    seen = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    assert REAL not in seen
    assert "'GREETING': 'hello=you'" in seen
    assert "'ENV_FILE': ''" in seen


def test_rehearsal_gives_every_vendor_a_sandbox_key_and_address() -> None:
    made = environment.rehearsal(ADDRESSES)
    for vendor in environment.VENDORS:
        assert all(made[name] == ADDRESSES[name] for name in vendor.addresses)
        keys = (*vendor.keys, *vendor.extras)
        assert all(made[key].startswith(("sandbox-", "http://127.0.0.1:")) for key in keys)
    assert made["KIE_WEBHOOK_KEY"] == kie.WEBHOOK_KEY, "else no callback of the sandbox would be heard"


def test_rehearsal_has_new_secrets_each_time() -> None:
    first, second = environment.rehearsal(ADDRESSES), environment.rehearsal(ADDRESSES)
    assert first["SECRET_KEY"] != second["SECRET_KEY"]
    assert len(first["SECRET_KEY"]) >= 50
    assert first["ENCRYPTION_KEY"] != second["ENCRYPTION_KEY"]


def test_rehearsal_refuses_a_sandbox_that_forgot_a_vendor() -> None:
    addresses = {name: address for name, address in ADDRESSES.items() if name != "CATBOX_URL"}
    with pytest.raises(ValueError, match="no address for CATBOX_URL"):
        environment.rehearsal(addresses)


def test_rehearsal_refuses_an_address_elsewhere() -> None:
    with pytest.raises(ValueError, match="KIE_BASE_URL of the sandbox is not on this machine"):
        environment.rehearsal(ADDRESSES | {"KIE_BASE_URL": "https://api.kie.ai"})


def test_with_real_keys_turns_whole_vendors_real(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        f"# mine\nexport KIE_API_KEY='{REAL}'  # paid\nKIE_VIDEO_MODEL=kling-3.0/video\nGEMINI_API_KEY=\n"
        f"NOTION_API_KEY=sandbox-mine\nGOOGLE_CLIENT_ID={REAL}\nDATABASE_URL=postgres://real.example/prod\n"
        f"ELEVENLABS_API_KEY={REAL}\nELEVENLABS_VOICE_ID=v1\nELEVENLABS_BASE_URL=https://eu.example\n"
    )
    before = environment.rehearsal(ADDRESSES)
    made, real = environment.with_real_keys(before, dotenv)
    assert real == ["KIE", "ElevenLabs"]
    assert made["KIE_API_KEY"] == REAL
    assert made["KIE_BASE_URL"] == "https://api.kie.ai"
    assert made["CATBOX_URL"] == "https://catbox.moe/user/api.php"
    assert made["KIE_VIDEO_MODEL"] == "kling-3.0/video"
    assert made["ELEVENLABS_BASE_URL"] == "https://eu.example"
    unchanged = {name for name in made if made[name] == before.get(name)}
    assert unchanged >= {"NOTION_API_KEY", "GEMINI_API_KEY", "GOOGLE_CLIENT_ID", "GOOGLE_TOKEN_URL", "ENV_FILE"}
    assert "DATABASE_URL" not in made
    assert made["KIE_WEBHOOK_KEY"] == "", "the rehearsal's key would refuse what the real account sends"
    assert REAL not in os.environ.values()


def test_with_real_keys_without_a_file_changes_nothing(tmp_path: Path) -> None:
    before = environment.rehearsal(ADDRESSES)
    assert environment.with_real_keys(before, tmp_path / ".env") == (before, [])
