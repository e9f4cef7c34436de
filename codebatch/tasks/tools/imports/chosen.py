"""The files of a tool, from the words of others for types: languages of ours, and globs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from codebatch.tasks.languages.detect import LANGUAGES

# Types that are a language here under another name.
_NAMED = {
    "bazel": "starlark",
    "c#": "csharp",
    "c++": "cpp",
    "docker": "dockerfile",
    "javascript-xml": "jsx",
    "makefile": "make",
    "plain-text": "text",
    "proto": "protobuf",
    "python3": "python",
    "rst": "restructuredtext",
    "scss": "sass",
    "shell": "bash",
    "sh": "bash",
    "ts": "typescript",
    "typescript-xml": "tsx",
    "zsh": "bash",
}
_STUB = "pyi"
_STUBS = "*.pyi"
_STUB_TYPES = {_STUB, "python-interface"}
# Suffixes of the languages that patterns of folders are joined with.
_SUFFIXES = {
    "bash": ("sh", "bash"),
    "c": ("c", "h"),
    "cpp": ("cc", "cpp", "cxx", "hh", "hpp", "hxx"),
    "css": ("css",),
    "go": ("go",),
    "html": ("html", "htm"),
    "java": ("java",),
    "javascript": ("js", "mjs", "cjs"),
    "json": ("json",),
    "jsx": ("jsx",),
    "markdown": ("md", "markdown", "mdx"),
    "python": ("py",),
    "restructuredtext": ("rst",),
    "rust": ("rs",),
    "sql": ("sql",),
    "toml": ("toml",),
    "tsx": ("tsx",),
    "typescript": ("ts", "mts", "cts"),
    "yaml": ("yaml", "yml"),
}


@dataclass
class Chosen:
    """Languages and globs of which a file has to be in one; all files where there are none."""

    languages: list[str] = field(default_factory=list)
    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)

    def document(self) -> dict[str, list[str]]:
        """Return the files as a description has them."""
        found = {name: [*dict.fromkeys(values)] for name, values in asdict(self).items()}
        return {name: values for name, values in found.items() if values}

    def within(self, globs: list[str]) -> bool:
        """Take only what matches one of these as well; False where that cannot be said."""
        if not globs:
            return True
        if not self.languages and not self.include:
            self.include = globs
            return True
        suffixes = [_SUFFIXES.get(one, ()) for one in self.languages]
        ends = [f"*.{one}" for several in suffixes for one in several] + self.include
        if not all(suffixes) or any("/" in one for one in ends):
            return False
        if all(any(glob.endswith(end.removeprefix("*")) for end in ends) for glob in globs):
            ends, joined = [], globs
        elif all(glob.endswith("/**") for glob in globs):
            joined = [f"{glob}/{end}" for glob in globs for end in ends]
        else:
            return False
        self.languages, self.include = [], joined
        return True


def language_of(name: str) -> str | None:
    """Return the language that a type stands for; None where it is no language of ours."""
    found = _NAMED.get(name, name)
    return found if found in LANGUAGES else None


def add_types(chosen: Chosen, names: Iterable[str]) -> list[str]:
    """Add the types that are languages; return the others."""
    others = []
    given = list(names)
    for name in given:
        language = language_of(name)
        if name in _STUB_TYPES:
            chosen.include.append(_STUBS)
        elif language is not None:
            chosen.languages.append(language)
        else:
            others.append(name)
    if "python" in chosen.languages:
        # Stubs are Python here; for others they are a type of their own.
        if _STUB_TYPES & {*given}:
            chosen.include.remove(_STUBS)
        elif _STUBS not in chosen.exclude:
            chosen.exclude.append(_STUBS)
    return others
