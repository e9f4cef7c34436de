"""The obvious way to list findings: read every record of a batch, keep the diagnostics.

    python benchmarks/plain_errors.py BATCH_FOLDER RECORDS

Prints the lines of ``codebatch errors`` as they come. Fails unless RECORDS were read.
"""

from __future__ import annotations

import json
import os
import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

OUTPUTS = "outputs.index.jsonl.zst"


def main() -> None:
    """Scan all outputs below one folder."""
    batch, expected = sys.argv[1:]
    records = 0
    for folder, _, names in os.walk(batch):
        if OUTPUTS not in names:
            continue
        with zstd.open(os.path.join(folder, OUTPUTS), "rt", encoding="utf-8") as lines:
            for line in lines:
                records += 1
                record = json.loads(line)
                if record["kind"] == "diagnostic":
                    place = f"{record['path']}:{record['line']}:{record['column']}"
                    words = f"{record['severity']} {record['code']} {record['message']}"
                    sys.stdout.write(f"{place}: {words}\n")
    if records != int(expected):
        sys.exit(f"{records} records below {batch}, not {expected}")


if __name__ == "__main__":
    main()
