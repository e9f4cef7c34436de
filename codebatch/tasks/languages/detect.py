"""Which language a file is in, and the facets of its path that tasks may depend on.

Decided from the name first and, for a name that says nothing, from the first bytes: a shebang,
or NUL bytes, which make it binary. Both are functions of the path and the content alone. A
change here changes results, so `DETECTION` is part of every fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from codebatch.digest import digest_document

HEAD_BYTES = 8192

_DETECTION_VERSION = 1

_EXTENSIONS = {
    "bash": "sh bash zsh ksh",
    "batch": "bat cmd",
    "c": "c h",
    "clojure": "clj cljs cljc edn",
    "cpp": "cc cpp cxx hh hpp hxx",
    "csharp": "cs",
    "css": "css",
    "csv": "csv tsv",
    "cython": "pyx pxd pxi",
    "dart": "dart",
    "elixir": "ex exs",
    "erlang": "erl hrl",
    "fortran": "f f90 f95",
    "gettext": "po pot",
    "go": "go",
    "graphql": "graphql gql",
    "groovy": "groovy gradle",
    "haskell": "hs",
    "html": "html htm xhtml",
    "ini": "ini cfg conf properties",
    "java": "java",
    "javascript": "js mjs cjs",
    "json": "json json5 jsonc jsonl ndjson geojson webmanifest map ipynb",
    "jsx": "jsx",
    "julia": "jl",
    "kotlin": "kt kts",
    "latex": "tex sty cls bib",
    "less": "less",
    "lua": "lua",
    "markdown": "md markdown mdx",
    "objective-c": "m mm",
    "ocaml": "ml mli",
    "perl": "pl pm",
    "php": "php",
    "powershell": "ps1 psm1",
    "protobuf": "proto",
    "python": "py pyi pyw",
    "r": "r",
    "restructuredtext": "rst",
    "ruby": "rb rake gemspec",
    "rust": "rs",
    "sass": "sass scss",
    "scala": "scala sc",
    "sql": "sql",
    "svelte": "svelte",
    "svg": "svg",
    "swift": "swift",
    "template": "j2 jinja jinja2 mustache hbs ejs tmpl tpl py-tpl",
    "terraform": "tf tfvars",
    "text": "txt text log",
    "toml": "toml",
    "tsx": "tsx",
    "typescript": "ts mts cts",
    "vue": "vue",
    "xml": "xml xsd xsl xslt rng gml kml plist",
    "yaml": "yaml yml",
    "binary": (
        "7z a avi bin bmp bz2 class dat db dll dylib eot exe flac gif gz ico icns jar jpeg jpg lib "
        "mo mov mp3 mp4 npy npz o obj ogg otf parquet pdf pickle pkl png pyc pyd pyo rar so sqlite "
        "sqlite3 tar tgz tif tiff ttf wasm wav webm webp whl woff woff2 xls xlsx xz zip zst"
    ),
}
_NAMES = {
    "bash": ".bashrc .profile .bash_profile .zshrc",
    "dockerfile": "dockerfile containerfile",
    "ignore": ".gitignore .dockerignore .npmignore .codebatchignore .eslintignore .prettierignore",
    "ini": ".editorconfig .gitconfig .npmrc .flake8 .coveragerc",
    "json": ".eslintrc .babelrc .prettierrc composer.lock pipfile.lock",
    "make": "makefile gnumakefile",
    "ruby": "gemfile rakefile",
    "text": "license licence copying notice authors readme changelog changes install todo record",
    "toml": "pipfile cargo.lock poetry.lock uv.lock pdm.lock",
    "yaml": "yarn.lock .clang-format .yamllint",
}
_INTERPRETERS = {
    "bash": "sh bash dash zsh ksh",
    "javascript": "node nodejs bun",
    "typescript": "deno ts-node tsx",
    "perl": "perl",
    "php": "php",
    "python": "python python2 python3 pypy pypy3",
    "ruby": "ruby",
}
_DATA = (
    "binary csv gettext ignore ini json sql svg symlink toml xml yaml"  # text rules pass them by
)
_LOCK_NAMES = (
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml composer.lock cargo.lock "
    "poetry.lock uv.lock pdm.lock pipfile.lock gemfile.lock go.sum record"
)


def _inverted(table: dict[str, str]) -> dict[str, str]:
    return {word: language for language, words in table.items() for word in words.split()}


_BY_EXTENSION = _inverted(_EXTENSIONS)
_BY_NAME = _inverted(_NAMES)
_BY_INTERPRETER = _inverted(_INTERPRETERS)
_LOCKS = frozenset(_LOCK_NAMES.split())
_GOALS = {"cjs": "commonjs", "cts": "commonjs", "mjs": "module", "mts": "module"}
_MINIFIED = re.compile(r"[.-]min\.[a-z]+\Z")
_DECLARATION = re.compile(r"\.d(\.[^.]+)?\.[mc]?ts\Z")
_SHEBANG = re.compile(rb"#!\s*(?:\S*/env(?:\s+-\S+|\s+\w+=\S*)*\s+)?(\S+)")

DATA_LANGUAGES = frozenset(_DATA.split())
LANGUAGES = tuple(sorted({*_EXTENSIONS, *_NAMES, *_INTERPRETERS, "symlink", "text"}))


def detect_language(path: str, read_head: Callable[[], bytes]) -> str:
    """The language of a file; ``read_head`` gives its first `HEAD_BYTES` when they are needed."""
    name = _name(path)
    language = _BY_NAME.get(name) or _BY_EXTENSION.get(_extension(name))
    return language or _language_of_head(read_head())


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1].lower()


def _extension(name: str) -> str:
    return name.rsplit(".", 1)[-1] if "." in name[1:] else ""


def _language_of_head(head: bytes) -> str:
    if b"\0" in head:
        return "binary"
    shebang = _SHEBANG.match(head)
    if shebang is None:
        return "text"
    interpreter = shebang[1].rsplit(b"/", 1)[-1].decode("ascii", "replace")
    bare = re.sub(r"[\d.]+\Z", "", interpreter)
    return _BY_INTERPRETER.get(interpreter) or _BY_INTERPRETER.get(bare) or "text"


def module_role(path: str) -> str:
    """``init``, ``stub``, ``declaration`` or ``module``: names that change how code is judged."""
    name = path.rsplit("/", 1)[-1]
    if name == "__init__.py":
        return "init"
    if name.endswith(".pyi"):
        return "stub"
    return "declaration" if _DECLARATION.search(name) else "module"


def script_goal(path: str) -> str:
    """Return how a name says that JavaScript and TypeScript are read: ``module`` (``.mjs``,
    ``.mts``), ``commonjs`` (``.cjs``, ``.cts``), or ``any``, for the code itself to tell.
    """
    return _GOALS.get(_extension(_name(path)), "any")


def text_role(path: str) -> str:
    """``lock``, ``minified`` or ``text``: names of files that no person edits."""
    name = _name(path)
    if name in _LOCKS:
        return "lock"
    return "minified" if _MINIFIED.search(name) else "text"


FACETS: dict[str, Callable[[str], str]] = {
    "module_role": module_role,
    "script_goal": script_goal,
    "text_role": text_role,
}

DETECTION = digest_document(
    "detection",
    [
        *(_DETECTION_VERSION, _EXTENSIONS, _NAMES, _INTERPRETERS, _DATA, _LOCK_NAMES, _GOALS),
        *(pattern.pattern for pattern in (_MINIFIED, _DECLARATION)),
        _SHEBANG.pattern.decode(),
    ],
)
