"""ECMAScript front end: JavaScript, JSX, TypeScript, TSX."""

from codebatch.tasks.languages.ecmascript.frontend import FRONTEND

__all__ = ["FRONTEND"]
