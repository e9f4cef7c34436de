"""A gate for CI: fail for findings that are new since a base, and leave a report.

python examples/gate.py FOLDER BASE writes findings.sarif, and ends with 1 where something new is at
least a warning. BASE is a revision of git, or a name or a batch of the store.
"""

import sys

import codebatch


def main(folder: str, base: str) -> int:
    """Return the exit code for a folder, against a base."""
    store = codebatch.open_store(create=True)
    try:
        report = store.check(folder, base=base, scheduler="threads")
    except codebatch.CodeBatchError as error:
        print(f"{error.code}: {error.message}", *error.hints, sep="\n  ")
        return 2
    for finding in report.new:
        record = finding.record
        print(f"{record['path']}:{record['line']}: {record['severity']} {record['message']}")
    with open("findings.sarif", "wb") as stream:
        report.export("sarif", stream)
    failing = report.failing("warning")
    print(f"{len(report.new)} new, {len(report.fixed)} fixed, {failing} too severe")
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
