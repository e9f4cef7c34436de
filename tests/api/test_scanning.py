"""Everything in one call, and the store that is found without being named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, Scanned

import codebatch


def test_a_scan_gives_what_is_wanted_next(scanned: Scanned) -> None:
    found = codebatch.scan(scanned.tree, scanned.path, scheduler="sync")
    batch, report = found
    assert (batch, report) == (found.batch, found.report)
    assert report.result == scanned.report.result
    assert found.store.path == scanned.path
    assert found.snapshot.id == report.snapshot_id
    diagnostics = scanned.batch.sorted_records(kind="diagnostic")
    assert list(found.findings) == list(diagnostics) != []
    assert repr(found).startswith(f"Scan {batch.id} [done]")
    assert batch.id in found._repr_html_()


def test_a_store_is_found_as_by_commands(
    scanned: Scanned,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    main: Callable[..., Outcome],
) -> None:
    monkeypatch.delenv("CODEBATCH_STORE", raising=False)
    below = tmp_path / "a/b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    with pytest.raises(codebatch.CodeBatchError) as raised:
        codebatch.open_store()
    assert (raised.value.code, raised.value.exit_code) == ("STORE_NOT_FOUND", 4)
    assert raised.value.message in main("batches").err
    made = codebatch.open_store(tmp_path / "a/.codebatch", create=True)
    assert codebatch.open_store().path == made.path
    monkeypatch.setenv("CODEBATCH_STORE", str(scanned.path))
    assert codebatch.open_store().path == scanned.path
