"""The folder in memory for the copies that tools look at."""

from __future__ import annotations

from pathlib import Path

import pytest

from codebatch.runtime import scratch

MEMORY = Path("/dev/shm")

pytestmark = pytest.mark.skipif(not MEMORY.is_dir(), reason="no folder in memory")


@pytest.fixture
def unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("unnamed")
def test_folder_is_there_for_a_block_and_for_what_has_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with scratch.memory_folder():
        found = scratch.folder_for(1000)
        assert found is not None
        assert Path(found).parent == MEMORY
        assert scratch.folder_for(2**26 + 1) is None
        monkeypatch.setattr(scratch, "_ROOM_BYTES", 2**60)  # the memory is full
        assert scratch.folder_for(1000) is None
    assert not Path(found).exists()
    assert scratch.folder_for(1000) is None


def test_folder_that_the_user_has_named_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with scratch.memory_folder():
        assert scratch.folder_for(1000) is None
