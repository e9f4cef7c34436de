"""Where a forge shows the files of a commit, as the environment of a build tells."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

_URL = re.compile(r"https?://[^\s/]+(/\S*)?")
GITHUB = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")
GITLAB = ("CI_PROJECT_URL", "CI_COMMIT_SHA")


def link_base_of(environ: Mapping[str, str], commit: str | None) -> str | None:
    """Return the URL that the paths of a commit are appended to, by default of that which is
    built; None where the environment is of no build.
    """
    server, repository, built = (environ.get(name, "") for name in GITHUB)
    if repository and (commit or built):
        return checked_base(f"{server}/{repository}/blob/{commit or built}")
    project, built = (environ.get(name, "") for name in GITLAB)
    if project and (commit or built):
        return checked_base(f"{project}/-/blob/{commit or built}")
    return None


def checked_base(url: str) -> str | None:
    """Return a URL without a slash at its end and without what would end a link; None for what is
    no URL of the web.
    """
    return quote(url.rstrip("/"), safe="/:@%?&=+~,.-_") if _URL.fullmatch(url) else None
