"""Modules that are imported on first use."""

from __future__ import annotations

import builtins
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from codebatch.runtime.lazy import lazily

OWN = {
    "user": "from codebatch.runtime.lazy import lazily\n\nwith lazily():\n"
    "    import lone\n    import above.below as short\n    from above import other\n",
    "lone": "value = 1\n",
    "above/__init__": "",
    "above/below": "value = 2\n",
    "above/other": "value = 3\n",
}


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that imports three others lazily."""
    (tmp_path / "above").mkdir()
    for name, text in OWN.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    return __import__("user")


def test_a_module_is_imported_when_it_is_used(user: ModuleType) -> None:
    assert not {"lone", "above", "above.below", "above.other"} & sys.modules.keys()
    assert user.other.value == 3
    assert "above.other" in sys.modules
    assert not {"lone", "above.below"} & sys.modules.keys()
    assert (user.lone.value, user.short.value) == (1, 2)


def test_a_block_concerns_its_module_alone() -> None:
    found: list[object] = []

    def elsewhere() -> None:
        scope: dict[str, object] = {}
        exec("from json import dumps", scope)
        found.append(scope["dumps"])

    before = builtins.__import__
    with lazily():
        other = threading.Thread(target=elsewhere)
        other.start()
        other.join()
    assert builtins.__import__ is before
    assert found == [__import__("json").dumps]
