"""Pipes and devices in place of files, and patterns without end: a command must not wait."""

from __future__ import annotations

from vectors import trials_of

from codebatch.maintenance.self_test import vectors

test_is_held_off, test_is_held_off_elsewhere = trials_of(vectors.BLOCKING)
