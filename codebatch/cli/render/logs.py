"""Keep what libraries log off stderr, which is for people.

Dask reports broken connections there as it goes; what matters of them is said by us. Whoever
configures Dask's logging (``DASK_LOGGING__…``) wants to read it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from codebatch.runtime.lazy import lazy

if TYPE_CHECKING:
    import logging
else:
    logging = lazy("logging")

_WANTED = ("DASK_LOGGING", "DASK_DISTRIBUTED__LOGGING")


@contextlib.contextmanager
def libraries_silenced() -> Iterator[None]:
    """Nothing is logged during a block."""
    if any(name.startswith(_WANTED) for name in os.environ):
        yield
        return
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)
