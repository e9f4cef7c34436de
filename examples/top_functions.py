"""The most complex functions of a tree, with the line that each begins at.

python examples/top_functions.py FOLDER [NUMBER]
"""

import sys

import codebatch


def main(folder: str, number: str = "10") -> None:
    """Print the most complex functions of a folder."""
    batch, _ = codebatch.scan(folder, pipeline="analyze", scheduler="threads")
    for row in batch.top("function_complexity")[: int(number)]:
        lines = batch.lines(str(row["path"]))
        begin = lines[int(str(row["line"])) - 1].strip()
        print(f"{row['value']:>4}  {row['path']}:{row['line']}  {begin}")


if __name__ == "__main__":
    main(*sys.argv[1:])
