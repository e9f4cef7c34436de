"""The errors of oxc's parser in a file, those of scopes included.

A file whose name leaves open whether it is a module or a script is accepted if it is either. A
``return`` outside of a function is accepted everywhere, as loaders put files into functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from codebatch.tasks.base import Config, reason_to_skip
from codebatch.tasks.languages.base import SyntaxFault
from codebatch.tasks.languages.dialects import reason_not_to_parse
from codebatch.tasks.languages.ecmascript.oxlint import LANGUAGES, OxlintRun, Remark, run_on
from codebatch.tasks.languages.ecmascript.places import places
from codebatch.tasks.source import SourceFile

MOST_FAULTS = 20


class Verdicts:
    """oxlint at work on the files of a shard that it can judge: a preparation of ``parse``.

    Where it is at work on a file already, to find names, it is not asked once more.
    """

    def __init__(self, sources: Sequence[SourceFile], config: Config) -> None:
        self.places = [
            place
            for place, source in enumerate(sources)
            if source.language in LANGUAGES
            and (reason_to_skip(source, config) or reason_not_to_parse(source)) is None
        ]
        self._sources = [sources[place] for place in self.places]
        self._others = [run_on(source) for source in self._sources]
        alone = [s for s, other in zip(self._sources, self._others, strict=True) if other is None]
        self._run = OxlintRun(alone, {})

    def values(self) -> Sequence[tuple[SyntaxFault, ...]]:
        """Return where the language rejects each file, in source order."""
        own = iter(self._run.remarks())
        found = []
        for source, other in zip(self._sources, self._others, strict=True):
            remarks = next(own) if other is None else other[0].remarks()[other[1]]
            found.append(tuple(_faults(source, remarks)))
        return found

    def cancel(self) -> None:
        """End oxlint; no answer is needed any more."""
        self._run.cancel()


def _faults(source: SourceFile, remarks: Sequence[Remark]) -> Iterator[SyntaxFault]:
    errors = [remark for remark in remarks if remark.is_error(source.language)][:MOST_FAULTS]
    if errors:
        where = places(source.text, (error.offset for error in errors))
        for (line, column), error in zip(where, errors, strict=True):
            yield SyntaxFault(line, column, error.message)
