"""Files that nobody in the project writes: vendored, bundled, minified, generated, lock files,
package metadata.

A name tells by the folders below the root of the tree, so that who takes such a folder by itself
sees its files as those of a project; it is a facet of the path (`text_role`). What a name leaves
open the content tells. The rules of github-linguist are what this is compared with. Left out is
what people write themselves: caches, documentation, examples, test data, settings of tools,
``.d.ts`` files, ``external`` folders that are not at the root, other folders with common names
(``env``, ``deps``), names of libraries without a banner, Python in ``dist``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from codebatch.runtime.lazy import lazy_pattern
from codebatch.tasks.languages.base import Source

LOCK, METADATA, VENDORED, GENERATED, BUNDLED, MINIFIED = REASONS = (
    "lock file",
    "package metadata",
    "vendored",
    "generated",
    "bundled",
    "minified",
)
TEXT = "text"  # the role of what a person may have written
LIBRARY = "library"  # the role of what has the name of a library that is copied into many projects

_LOCK_NAMES = (
    "package-lock.json npm-shrinkwrap.json yarn.lock pnpm-lock.yaml composer.lock cargo.lock "
    "poetry.lock uv.lock pdm.lock pixi.lock pipfile.lock gemfile.lock deno.lock bun.lock bun.lockb "
    "flake.lock esy.lock gopkg.lock glide.lock package.resolved module.bazel.lock go.sum "
    ".terraform.lock.hcl"
)
_METADATA_FOLDERS = r"[^/]+\.(?:dist-info|egg-info)|egg-info"
_METADATA_NAMES = "pkg-info"
_VENDOR_FOLDERS = (
    "node_modules bower_components jspm_packages web_modules xvba_modules flow-typed "
    "vendor vendors vendored _vendor _vendors _vendored "
    "third_party third-party thirdparty 3rd_party 3rd-party 3rdparty _thirdparty _third_party "
    "extern externals site-packages dist-packages .venv .eggs "
    "ace-builds mathjax tiny_mce extjs"
)
_VENDOR_PATHS = (  # of folders, below the root
    r"external/",
    r"(?:.*/)?\.yarn/(?:releases|plugins|sdks|versions|unplugged)/",
    r"(?:.*/)?(?:gradle|\.mvn)/wrapper/",
    r"(?:.*/)?(?:Pods|Carthage|Godeps)/",  # in small letters, words for other things
)
_GENERATED_FOLDERS = "__generated__ htmlcov openapi-gen"
_GENERATED_NAMES = (
    r"[^/]+_pb2(?:_grpc)?\.pyi?|[^/]+\.pb\.(?:go|cc|h|validate\.go)|[^/]+\.g\.dart|"
    r"[^/]+\.(?:generated|gen)\.[a-z]+|[^/]+\.designer\.(?:cs|vb)|[^/]+\.feature\.cs|"
    r"[^/]+_tlb\.pas|[^/]+\.zep\.(?:c|h|php)|\.pnp\.[^/]+|gradlew(?:\.bat)?|mvnw(?:\.cmd)?|"
    r"config\.(?:guess|sub)|aclocal\.m4|libtool\.m4|lt(?:options|sugar|version|~obsolete)\.m4|"
    r"ppport\.h|dotnet-install\.(?:ps1|sh)"
)
_BUNDLE_FOLDERS = "dist"
_BUNDLE_NAMES = r"[^/]+\.(?:[mc]?js|css|html?|map|svg|txt|md)|[^/]+[.-]bundle\.[mc]?js"
_MINIFIED_NAMES = r"[^/]+[.-]min\.[a-z]+"
_LIBRARIES = (
    "jquery bootstrap angular react react-dom vue lodash underscore backbone ember d3 moment "
    "prototype effects controls dragdrop mootools dojo mochikit yahoo yui modernizr knockout "
    "ckeditor tinymce codemirror select2 foundation normalize animate font-awesome fontawesome "
    "bulma materialize skeleton html5shiv respond require handlebars mustache raphael "
    "highcharts chart plotly leaflet openlayers mapbox-gl swagger-ui swagger-ui-bundle "
    "swagger-ui-standalone-preset redoc graphiql highlight prism shcore fuelux bootbox slick "
    "cordova xregexp microsoftajax fontello octicons"
)
_LIBRARY_NAMES = rf"(?:{'|'.join(_LIBRARIES.split())})(?:[.-][\w.-]+)?\.(?:[mc]?js|css|less|scss)"

# Nobody edits these line by line, whoever writes them.
_DATA = "binary csv diff gettext ignore ini json sql svg symlink toml xml yaml"

TABLES = (
    _DATA,
    *(_LOCK_NAMES, _METADATA_FOLDERS, _METADATA_NAMES, _VENDOR_FOLDERS, *_VENDOR_PATHS),
    *(_GENERATED_FOLDERS, _GENERATED_NAMES, _BUNDLE_FOLDERS, _BUNDLE_NAMES, _MINIFIED_NAMES),
    _LIBRARY_NAMES,
)
_LOCKS = frozenset(_LOCK_NAMES.split())
_FOLDERS = {
    **dict.fromkeys(_BUNDLE_FOLDERS.split(), BUNDLED),
    **dict.fromkeys(_GENERATED_FOLDERS.split(), GENERATED),
    **dict.fromkeys(_VENDOR_FOLDERS.split(), VENDORED),
}
_METADATA_FOLDER = lazy_pattern(_METADATA_FOLDERS)
_VENDOR_PATH = lazy_pattern("|".join(_VENDOR_PATHS))
_NAMES = {
    METADATA: lazy_pattern(re.escape(_METADATA_NAMES)),
    GENERATED: lazy_pattern(_GENERATED_NAMES),
    MINIFIED: lazy_pattern(_MINIFIED_NAMES),
    LIBRARY: lazy_pattern(_LIBRARY_NAMES),
}
_BUNDLE_NAME = lazy_pattern(_BUNDLE_NAMES)

_OF_WEB = frozenset(("css", "javascript", "jsx", "less", "sass", "tsx", "typescript"))
DATA_LANGUAGES = frozenset(_DATA.split())
_HEAD_BYTES, _HEAD_LINES = 4096, 10
_TAIL_BYTES = 512
_MAY_BE_GENERATED = lazy_pattern(rb"generated|do not (?:edit|modify)", re.IGNORECASE)
_CODE = lazy_pattern(rb"^(?:from|import)\b|^\w+ *=(?!=)", re.MULTILINE)
# In a comment, in the first line of a docstring, or in a sentence about the file.
_IS_GENERATED = lazy_pattern(
    rb"""^[ \t]*
    (?:\#|//|/?\*|--|;|<!--|%|\.\.|[rR]?(?:\"{3}|'{3})|@?rem\b|dnl\b|\(\*|\{-
      |(?:this|the[ ]following)[ ](?:file|code|module|class|document|is)\b)
    .*?
    (?:@generated\b
      |\bdo[ ]not[ ](?:edit|modify)\b
      |\bauto(?:matically)?[ -]?(?:re)?generated\b
      |\b(?:code|file)[ ](?:is[ ]|was[ ])?generated[ ](?:by|from|with|using)\b
      |\bgenerated[ ]by[ ](?:the[ ])?(?:protocol[ ]buffer|grpc|protoc\b|swig|cython|antlr|peg\.?js
        |coffeescript|jison|haxe|jflex|bison|flex|openapi|swagger|versioneer|gnu[ ]autoconf
        |automake|cmake|pyuic|pyside|qt|doxygen|nuitka|sqlc|mockgen|bindgen|racc|roxygen2|pkgdown
        |webpack|rollup|pegen|ply\b|hassfest|setuptools))
    """,
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
_BANNER = lazy_pattern(
    rb"\s*(?:/\*|//).{0,1000}?(?:@license|@preserve|copyright|\(c\)|licen[sc]e|\bv?\d+\.\d+\.\d+)",
    re.IGNORECASE | re.DOTALL,
)
_BUNDLERS = lazy_pattern(
    rb"webpackBootstrap|__webpack_(?:modules|module_cache)__|\bwebpack(?:Jsonp|Chunk)|parcelRequire"
    rb"|^/\*{6}/ |^var __commonJS = |__vite__mapDeps|\brequire=\(function e\(t,n,r\)",
    re.MULTILINE,
)
_SOURCE_MAP = lazy_pattern(rb"^/[*/][#@] source(?:Mapping)?URL=", re.MULTILINE)
_MINIFIED_BYTES = 4096
_MINIFIED_MEAN, _MINIFIED_MEAN_OF_WEB = 300, 110  # bytes of a line


def text_role(path: str) -> str:
    """Return why a name is that of a file that nobody writes, one of `REASONS`; `LIBRARY` where
    the content has to tell, else `TEXT`.
    """
    folder, _, name = path.rpartition("/")
    name = name.lower()
    if name in _LOCKS:
        return LOCK
    around = _folder_role(folder)
    if around is not None and (around != BUNDLED or _BUNDLE_NAME.fullmatch(name)):
        return around
    return next((role for role, form in _NAMES.items() if form.fullmatch(name)), TEXT)


@lru_cache(maxsize=4096)
def _folder_role(folder: str) -> str | None:
    """Return what the folders around a file make it."""
    parts = folder.lower().split("/")
    if any(map(_METADATA_FOLDER.fullmatch, parts)):
        return METADATA
    if _VENDOR_PATH.match(f"{folder}/"):
        return VENDORED
    roles = {_FOLDERS.get(part) for part in parts}
    return next((role for role in (VENDORED, GENERATED, BUNDLED) if role in roles), None)


def reasons(source: Source) -> Iterator[str]:
    """Yield why nobody writes a file, by its name and then by its content."""
    role = source.facets["text_role"]
    if role in REASONS:
        yield role
    if source.language in DATA_LANGUAGES:
        return
    content = source.content
    head = b"\n".join(content[:_HEAD_BYTES].split(b"\n", _HEAD_LINES)[:_HEAD_LINES])
    if role == LIBRARY and _BANNER.match(head):
        yield VENDORED
    if _MAY_BE_GENERATED.search(head) and _IS_GENERATED.search(_CODE.split(head, 1)[0]):
        yield GENERATED
    is_of_web = source.language in _OF_WEB
    if is_of_web and (
        _BUNDLERS.search(content[:_HEAD_BYTES]) or _SOURCE_MAP.search(content[-_TAIL_BYTES:])
    ):
        yield BUNDLED
    if source.language != "python" and len(content) > _MINIFIED_BYTES:
        lines = max(content.count(b"\n"), content.count(b"\r")) + 1
        if len(content) > lines * (_MINIFIED_MEAN_OF_WEB if is_of_web else _MINIFIED_MEAN):
            yield MINIFIED
