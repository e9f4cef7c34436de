"""Trees with files that crash, hang or take all memory, and stores and commands for them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from conftest import Outcome, run_cli, write_tree

import codebatch

POISON = str(Path(__file__).parent / "poison")
FATAL = "crash=parse,hang=symbols,memory=lint"
# For worlds in which a file hangs; a busy machine may need as long for files that do not.
LIMITS = ("--file-timeout", 2, "--memory-limit", "256MiB")
QUARANTINED = [
    {"path": "crash.py", "task_id": "parse", "code": "E0003"},
    {"path": "hang.py", "task_id": "symbols", "code": "E0004"},
    {"path": "memory.py", "task_id": "lint", "code": "E0005"},
]


def marked_tree(root: Path, number: int, *words: str) -> Path:
    """So many innocent files, and one for each word that is fatal to a task."""
    files: dict[str, str | bytes] = {
        f"pkg/m{index}.py": f"import os\n\n\ndef f{index}(x):\n    return x + {index}\n"
        for index in range(number)
    }
    files.update((f"{word}.py", f"# poison: {word}\nimport sys\n") for word in words)
    return write_tree(root, files)


class Poisoned:
    """A tree with fatal files, a store, and the command line in a world where they are fatal."""

    def __init__(self, folder: Path, *words: str, number: int = 60, fatal: str = FATAL) -> None:
        folder.mkdir(exist_ok=True)
        self.tree = marked_tree(folder / "tree", number, *words)
        self.store = folder / "store"
        self.log = folder / "log"
        self.log.touch()
        path = os.pathsep.join(filter(None, [POISON, os.environ.get("PYTHONPATH")]))
        self.environment: dict[str, str | None] = {
            "PYTHONPATH": path,
            "TEST_POISON": fatal,
            "TEST_POISON_LOG": str(self.log),
        }

    def __call__(self, *words: object, harmless: bool = False, **options: Any) -> Outcome:
        environment = {**self.environment, **({"TEST_POISON": None} if harmless else {})}
        return run_cli(*words, "--store", self.store, env=environment, **options)

    def json(self, *words: object, **options: Any) -> Any:
        done = self(*words, "--json", **options)
        assert done.code == 0, done
        return json.loads(done.stdout)

    def deaths(self) -> list[str]:
        """What went wrong so far, in order."""
        return self.log.read_text().splitlines()

    def records(self) -> list[dict[str, Any]]:
        """The records of the newest batch, without the shard."""
        found = codebatch.open_store(self.store).find_batch("latest").sorted_records()
        return [{k: v for k, v in one.items() if k != "shard_id"} for one in found]
