"""Links inside a store that lead out of it."""

from __future__ import annotations

from vectors import trials_of

from codebatch.maintenance.self_test import vectors

test_is_held_off, test_is_held_off_elsewhere = trials_of(vectors.LINKS)
