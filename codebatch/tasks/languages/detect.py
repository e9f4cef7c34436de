"""Which language a file is in, and the facets of its path that tasks may depend on.

Decided from the name first and, for a name that says nothing, from the first bytes: a shebang,
or NUL bytes, which make it binary. Both are functions of the path and the content alone. A
change here changes results, so `DETECTION` is part of every fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType

from codebatch.model.digest import digest_document
from codebatch.tasks.languages.authorship import TABLES, text_role

HEAD_BYTES = 8192

_DETECTION_VERSION = 3

_EXTENSIONS = {
    "astro": "astro",
    "bash": "sh bash bats zsh ksh",
    "batch": "bat cmd",
    "c": "c h",
    "clojure": "clj cljs cljc edn",
    "cpp": "cc cpp cxx c++ hh hpp hxx h++ ipp inl ixx tpp",
    "csharp": "cs csx",
    "css": "css",
    "csv": "csv tsv",
    "cython": "pyx pxd pxi",
    "dart": "dart",
    "diff": "diff patch",
    "elixir": "ex exs",
    "erlang": "erl hrl escript",
    "fortran": "f f90 f95 f03 f08",
    "gettext": "po pot",
    "go": "go",
    "graphql": "graphql gql",
    "groovy": "groovy gradle jenkins jenkinsfile",
    "haskell": "hs lhs",
    "html": "html htm xhtml",
    "ini": "ini cfg cnf conf env lektorproject properties txsprofile",
    "java": "java",
    "javascript": "js mjs cjs es es6 jsm javascript jake njs pac ssjs xsjs xsjslib",
    "json": (
        "json json5 jsonc jsonl jsonld ndjson geojson topojson webmanifest webapp map ipynb avsc "
        "ejson gltf har sarif piskel tfstate code-workspace code-snippets xctestplan"
    ),
    "jsonnet": "jsonnet libsonnet",
    "jsx": "jsx",
    "julia": "jl",
    "kotlin": "kt kts",
    "latex": "tex sty cls bib",
    "less": "less",
    "lua": "lua",
    "make": "mk make",
    "markdown": "md markdown mdx",
    "objective-c": "m mm",
    "ocaml": "ml mli",
    "perl": "pl pm",
    "php": "php php4 php5 phtml",
    "powershell": "ps1 psm1 psd1",
    "protobuf": "proto",
    "python": "py pyi pyw py3 pyde pyt wsgi tac gyp gypi",
    "r": "r",
    "restructuredtext": "rst",
    "ruby": "rb rake gemspec jbuilder",
    "rust": "rs",
    "sass": "sass scss",
    "scala": "scala sc sbt",
    "sql": "sql",
    "starlark": "bzl bazel star sky",
    "svelte": "svelte",
    "svg": "svg",
    "swift": "swift",
    "template": (
        "j2 jinja jinja2 mustache hbs handlebars ejs erb njk twig liquid tmpl tpl gotmpl py-tpl"
    ),
    "terraform": "tf tfvars",
    "text": "txt text log",
    "toml": "toml",
    "tsx": "tsx",
    "typescript": "ts mts cts",
    "vue": "vue",
    "xml": (
        "xml xsd xsl xslt rng gml gpx kml plist csproj fsproj vbproj vcxproj pyproj wixproj slnx "
        "props targets pom resx wsdl wxi wxl wxs xaml xlf xliff xacro urdf xcscheme "
        "xcworkspacedata xcprivacy xcsettings entitlements inx lpi mscx vdx yin zcml"
    ),
    "yaml": "yaml yml eyaml yamlld",
    "binary": (
        "7z a ai asar avi avif bin bmp bz2 bz3 class dat db dll dylib ear eot eps exe fits flac "
        "ggb gif gz ico icns jar jpeg jpg lib mo mov mp3 mp4 mscz npy npz o obj ogg otf p12 "
        "parquet pdf pickle pkl png ppm pyc pyd pyo pyz pyzw rar so sqlite sqlite3 swf tar tgz tif "
        "tiff ttf war wasm wav webm webp whl woff woff2 xls xlsx xz zip zst"
    ),
}
_NAMES = {
    "bash": (
        ".bashrc .profile .bash_profile .bash_aliases .envrc .zshrc .zshenv .zprofile .zlogin "
        ".zlogout pkgbuild"
    ),
    "dockerfile": "dockerfile containerfile",
    "groovy": "jenkinsfile",
    "ignore": ".gitignore .dockerignore .npmignore .codebatchignore .eslintignore .prettierignore",
    "ini": (
        ".editorconfig .gitconfig .npmrc .flake8 .coveragerc .env .codespellrc .gitlint .hgrc "
        ".pypirc .sqlfluff pylintrc"
    ),
    "javascript": "jakefile",
    "json": (
        ".eslintrc .babelrc .prettierrc .jshintrc .jslintrc .jscsrc .swcrc .nycrc .bowerrc "
        ".csslintrc .mention-bot .watchmanconfig composer.lock pipfile.lock deno.lock flake.lock "
        "bun.lock module.bazel.lock"
    ),
    "make": "makefile gnumakefile",
    "python": "sconstruct sconscript scsub wscript .pythonrc .pythonstartup",
    "ruby": "gemfile rakefile brewfile fastfile vagrantfile config.ru",
    "starlark": "tiltfile build.bazel workspace.bazel workspace.bzlmod module.bazel",
    "toml": "pipfile cargo.lock poetry.lock uv.lock pdm.lock",
    "yaml": "yarn.lock .clang-format .clang-tidy .ansible-lint .salt-lint .yamllint",
}
_CASED_NAMES = {"starlark": "BUILD BUCK WORKSPACE"}  # in lower case, names of scripts and folders
_INTERPRETERS = {
    "bash": "sh ash bash bats dash zsh ksh",
    "javascript": "node nodejs bun d8 gjs js qjs rhino zx",
    "typescript": "deno ts-node ts-node-esm tsx",
    "perl": "perl",
    "php": "php",
    "python": "python python2 python3 pythonw pypy pypy3 ipython jython micropython uv pipx",
    "ruby": "ruby",
}


def _inverted(table: dict[str, str]) -> dict[str, str]:
    return {word: language for language, words in table.items() for word in words.split()}


_BY_EXTENSION = _inverted(_EXTENSIONS)
_BY_NAME = _inverted(_NAMES) | _inverted(_CASED_NAMES)
_BY_INTERPRETER = _inverted(_INTERPRETERS)
_GOALS = {"cjs": "commonjs", "cts": "commonjs", "mjs": "module", "mts": "module"}
_MAGIC = re.compile(r"__.*__\Z", re.DOTALL)
_DECLARATION = re.compile(r"\.d(\.[^.]+)?\.[mc]?ts\Z")
# Of ``env`` and ``npx`` neither options nor, for the former, variables are the interpreter.
_SHEBANG = re.compile(
    rb"#![ \t]*(?:\S*/env(?:[ \t]+-[uC][ \t]+\S+|[ \t]+-\S+|[ \t]+\w+=\S*)*[ \t]+)?"
    rb"(?:npx(?:[ \t]+-\S+)*[ \t]+)?(\S+)"
)

LANGUAGES = tuple(sorted({*_EXTENSIONS, *_NAMES, *_INTERPRETERS, "symlink"}))


def detect_language(path: str, read_head: Callable[[], bytes]) -> str:
    """The language of a file; ``read_head`` gives its first `HEAD_BYTES` when they are needed."""
    name = _name(path)
    given = path.rsplit("/", 1)[-1]
    language = _BY_NAME.get(given) or _BY_NAME.get(name) or _BY_EXTENSION.get(_extension(name))
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
    """Return how a name says that JavaScript and TypeScript are read: ``declaration``
    (``.d.ts``), ``module`` (``.mjs``, ``.mts``), ``commonjs`` (``.cjs``, ``.cts``), or ``any``,
    for the code itself to tell.
    """
    if _DECLARATION.search(_name(path)):
        return "declaration"
    return _GOALS.get(_extension(_name(path)), "any")


def visibility(path: str) -> str:
    """Return ``private`` where a folder or the name starts with one underscore, else ``public``."""
    parts = path.removesuffix(".py").removesuffix(".pyi").split("/")
    is_private = any(part[:1] == "_" and not _MAGIC.match(part) for part in parts)
    return "private" if is_private else "public"


PATH = "path"  # the facet of a task that depends on all of the path

_SIBLINGS = "siblings "


def extension(path: str) -> str:
    """Return what follows the last dot of a name, with it; empty where there is none."""
    found = _extension(path.rsplit("/", 1)[-1])
    return f".{found}" if found else ""


def siblings_facet(names: Iterable[str]) -> str:
    """Return the facet that tells which of these names are beside a file and in folders above."""
    return _SIBLINGS + ",".join(sorted(names))


def siblings_in(value: str) -> list[str]:
    """Return the paths that the value of such a facet stands for."""
    return value.split("\0") if value else []


def facet_readers(
    facets: Iterable[str],
    paths: Sequence[str],
    known: Mapping[str, Callable[[str], str]] = MappingProxyType({}),
) -> dict[str, Callable[[str], str]]:
    """Return what gives each facet of a path; ``paths`` are those of all files, and ``known`` gives
    facets that a plan alone can tell.
    """
    readers: dict[str, Callable[[str], str]] = {}
    for facet in facets:
        if facet.startswith(_SIBLINGS):
            names = set(facet.removeprefix(_SIBLINGS).split(","))
            readers[facet] = _siblings_reader(
                {path for path in paths if path.rsplit("/", 1)[-1] in names}, sorted(names)
            )
        else:
            readers[facet] = known.get(facet) or FACETS[facet]
    return readers


def _siblings_reader(known: set[str], names: Sequence[str]) -> Callable[[str], str]:
    @cache
    def of_folder(folder: str) -> tuple[str, ...]:
        above = of_folder(folder.rpartition("/")[0]) if folder else ()
        places = (f"{folder}/{name}" if folder else name for name in names)
        return (*above, *(place for place in places if place in known))

    return lambda path: "\0".join(of_folder(path.rpartition("/")[0]))


FACETS: dict[str, Callable[[str], str]] = {
    PATH: str,
    "extension": extension,
    "module_role": module_role,
    "script_goal": script_goal,
    "text_role": text_role,
    "visibility": visibility,
}

DETECTION = digest_document(
    "detection",
    [
        *(
            _DETECTION_VERSION,
            _EXTENSIONS,
            _NAMES,
            _CASED_NAMES,
            _INTERPRETERS,
            _GOALS,
            *TABLES,
        ),
        *(pattern.pattern for pattern in (_MAGIC, _DECLARATION)),
        _SHEBANG.pattern.decode(),
    ],
)
