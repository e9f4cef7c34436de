"""What a ``.git`` can name: programs, remotes, files elsewhere."""

from __future__ import annotations

from codebatch.self_test.vector import Command, Scene, Vector

KIND = "git"

_SNAPSHOT = Command("snapshot {tree} --store {store}")


def _configured(name: str, text: str) -> Vector:
    """Return the vector of a repository with this configuration; ``{program}`` leaves a marker."""

    def plant(scene: Scene) -> None:
        program = scene.write(
            f"tree/{name}", f"#!/bin/sh\n{scene.shell_marker(name)}\n", mode=0o755
        )
        core = "[core]\n\trepositoryformatversion = 0\n\tbare = false\n"
        scene.write("tree/.git/config", core + text.replace("{program}", str(program)))
        scene.write("tree/.git/HEAD", "ref: refs/heads/main\n")
        for folder in ("objects/info", "refs/heads"):
            (scene.tree / ".git" / folder).mkdir(parents=True)

    return Vector(KIND, name, plant, (_SNAPSHOT,))


VECTORS: tuple[Vector, ...] = (_configured("core.fsmonitor", "[core]\n\tfsmonitor = {program}\n"),)
