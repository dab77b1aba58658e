"""`.env.example` and `config/settings.py` name the same settings with the same defaults."""

import ast
from collections.abc import Iterator
from decimal import Decimal

from config.environment import VENDORS
from production.management.commands.docs import Setting, read_settings
from tests import ROOT

READERS = {"secret", "seconds", "str", "int", "float", "bool", "list", "email_url"}
BY_SCRIPTS = {"SCRIPTS_ENV_FILE"}  # handed through to the scripts, which read it themselves


def _read_by_settings() -> Iterator[tuple[str, ast.expr | None]]:
    """Name and default of every call of a reader with a constant name."""
    for call in ast.walk(ast.parse((ROOT / "config/settings.py").read_text())):
        if not isinstance(call, ast.Call) or not call.args:
            continue
        reader = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        is_env = not isinstance(call.func, ast.Attribute) or getattr(call.func.value, "id", "") == "env"
        name = call.args[0]
        if is_env and reader in READERS and isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield name.value, next((word.value for word in call.keywords if word.arg == "default"), None)


def _listed() -> dict[str, Setting]:
    return {setting.name: setting for setting in read_settings((ROOT / ".env.example").read_text())}


def _addresses() -> dict[str, str]:
    return {name: address for vendor in VENDORS for name, address in vendor.addresses.items()}


def _written(default: ast.expr) -> str | None:
    """The default as one would write it in the file; None where it is computed."""
    source = ast.unparse(default)
    try:
        value = eval(source, {"Decimal": Decimal})
    except (NameError, TypeError):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def test_env_example_lists_exactly_what_settings_read() -> None:
    read = {name for name, _ in _read_by_settings()} | set(_addresses()) | BY_SCRIPTS
    assert set(_listed()) == read


def test_env_example_names_each_setting_once_and_says_what_it_does() -> None:
    found = read_settings((ROOT / ".env.example").read_text())
    assert len(found) == len({setting.name for setting in found})
    assert all(setting.group and setting.says.endswith(".") for setting in found)


def test_env_example_names_every_right_that_the_key_of_a_bucket_needs() -> None:
    says = _listed()["S3_ACCESS_KEY_ID"].says
    assert all(right in says for right in ("read", "write", "list", "delete"))


def test_env_example_shows_the_defaults() -> None:
    defaults = {name: _written(default) for name, default in _read_by_settings() if default} | _addresses()
    shown = {name: setting.default for name, setting in _listed().items()}
    assert {n: d for n, d in defaults.items() if d is not None and shown[n] != d} == {}
    assert len([default for default in defaults.values() if default]) > 20


def test_env_example_groups_stand_in_the_order_of_settings() -> None:
    source = (ROOT / "config/settings.py").read_text()
    order = [name for name, _ in sorted(_read_by_settings(), key=lambda found: source.index(f'"{found[0]}"'))]
    listed = [name for name in _listed() if name in order]
    assert listed == order
