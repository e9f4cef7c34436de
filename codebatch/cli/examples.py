"""The command lines that ``--help`` and ``api`` show as examples, by command."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "api": ("codebatch api --json",),
    "apply": ("codebatch apply . --dry-run", "codebatch apply src --task fix"),
    "batch init": (
        "codebatch batch init --snapshot latest --pipeline full",
        "codebatch batch init --task checks.py:todos --name todos",
    ),
    "batch rm": ("codebatch batch rm latest~3 --dry-run",),
    "batches": ("codebatch batches",),
    "cat": ("codebatch cat src/app.py", "codebatch cat src/app.py --lines 10:20 -n"),
    "check": (
        "codebatch check --base main",
        "codebatch check --format text --format sarif:findings.sarif",
        "codebatch check src --baseline codebatch-baseline.txt --fail-on error",
    ),
    "config show": ("codebatch config show --origin",),
    "diagnose": (
        "codebatch diagnose",
        "codebatch diagnose --scheduler tcp://scheduler-host:8786",
    ),
    "diff": (
        "codebatch diff main latest",
        "codebatch diff latest~1 latest --kind symbol",
    ),
    "errors": (
        "codebatch errors --severity error",
        "codebatch errors --path src --code L101,L102",
    ),
    "explain": ("codebatch explain --task lint --file src/app.py",),
    "export": (
        "codebatch export --format sarif --output findings.sarif",
        "codebatch export --format csv --kind metric --output metrics.csv",
    ),
    "files": ("codebatch files --language python --sort -size --limit 10",),
    "gc": ("codebatch gc --dry-run",),
    "improvements": ("codebatch improvements main latest",),
    "init": ("codebatch init", "codebatch init ~/stores/work"),
    "inspect": ("codebatch inspect src/app.py", "codebatch inspect src/app.py --at 120"),
    "memo export": ("codebatch memo export results.memo",),
    "memo import": ("codebatch memo import results.memo",),
    "name rm": ("codebatch name rm release-1",),
    "name set": ("codebatch name set release-1 latest",),
    "names": ("codebatch names",),
    "pipeline": ("codebatch pipeline full", "codebatch pipeline full --draw"),
    "pipeline validate": ("codebatch pipeline validate checks.json",),
    "pipelines": ("codebatch pipelines",),
    "plan": ("codebatch plan", "codebatch plan --pipeline full --task checks.py:todos"),
    "query diagnostics": ("codebatch query diagnostics --code L003 --format csv:long-lines.csv",),
    "query edges": ("codebatch query edges --edge-type imports --target 'numpy*'",),
    "query metrics": (
        "codebatch query metrics --metric function_complexity --min 20 --sort -value",
    ),
    "query outputs": ("codebatch query outputs --kind symbol --path src --format jsonl",),
    "query stats": ("codebatch query stats",),
    "query symbols": ("codebatch query symbols --symbol-type class --name '*Error'",),
    "regressions": ("codebatch regressions main latest --fail-on warning",),
    "resume": ("codebatch resume",),
    "run": (
        "codebatch run --batch latest",
        "codebatch run --scheduler tcp://scheduler-host:8786",
        "codebatch run --recompute --sample 5%",
    ),
    "sarif import": (
        "codebatch sarif import codeql.sarif",
        "codebatch sarif import scan.sarif --batch main --task scan",
    ),
    "scan": (
        "codebatch scan .",
        "codebatch scan . --pipeline parse --name main",
        "codebatch scan . --task checks.py:todos",
        "codebatch scan . --select F,B,UP --ignore L003",
        "codebatch scan src tests app.py --exclude '*.min.js'",
    ),
    "shards": ("codebatch shards --task lint",),
    "show": ("codebatch show latest",),
    "skipped": ("codebatch skipped", "codebatch skipped --reason ignored --limit 20"),
    "snapshot": ("codebatch snapshot .", "codebatch snapshot . --name before"),
    "snapshot rm": ("codebatch snapshot rm before --dry-run",),
    "snapshots": ("codebatch snapshots",),
    "sql": (
        'codebatch sql "SELECT target, count(*) FROM edges GROUP BY 1 ORDER BY 2 DESC LIMIT 5"',
    ),
    "status": ("codebatch status", "codebatch status --watch"),
    "store-stats": ("codebatch store-stats",),
    "summary": ("codebatch summary",),
    "task list": ("codebatch task list",),
    "task new": ("codebatch task new todos",),
    "task run": ("codebatch task run todos.py:todos src",),
    "tasks": ("codebatch tasks",),
    "tool certify": (
        "codebatch tool certify ruff .",
        "codebatch tool certify tools/mine.json src --rounds 10",
    ),
    "tool import": (
        "codebatch tool import .",
        "codebatch tool import ~/src/plugins --output tools",
    ),
    "tools": ("codebatch tools", "codebatch tools --json"),
    "top": ("codebatch top --by code", "codebatch top --by function_complexity --limit 20"),
    "tree": ("codebatch tree src/app.py --line 120", "codebatch tree src/app.py --depth 2"),
    "verify": ("codebatch verify", "codebatch verify --read-data --subset 10%"),
}
