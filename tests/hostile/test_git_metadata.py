"""What a ``.git`` can name: programs, remotes, files elsewhere."""

from __future__ import annotations

from vectors import trials_of

from codebatch.maintenance.self_test import vectors

test_is_held_off, _ = trials_of(vectors.GIT)
