"""Make the golden store: run once when it was added, kept to say what is in the archive.

    python tests/golden/make.py /tmp/demo tests/golden/edges.tar

The store must stay readable, so it is never made anew; a later form of stores gets an archive of
its own beside it.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path

import codebatch

TREE = {
    b"shop/__init__.py": b"from shop.cart import Cart\n",
    b"shop/cart.py": b'"""A cart."""\nimport json\nimport os\n\n\nclass Cart(dict):\n'
    b"    def add(self, item, *, count=1):\n        if count > 0 and item:\n"
    b"            self[item] = self.get(item, 0) + count   \n        return self\n",
    b"shop/broken.py": b"def broken(:\n    pass\n",
    b"web/price.ts": b"import { unused } from './unused';\n"
    b"export function total(prices: number[]): number {\n"
    b"  return prices.reduce((sum, price) => sum + (price > 0 ? price : 0), 0);\n}\n",
    b"caf\xe9 \xe5\x90\x8d.py": b"value = 1\n",
    b"twin.txt": b"again\n" * 40,
    b"folder/twin.txt": b"again\n" * 40,
    b"empty": b"",
}


def make(folder: Path, archive: Path) -> None:
    """Scan the tree and pack the store; one object loses its checksum, which it may lack."""
    for name, content in TREE.items():
        path = os.path.join(os.fsencode(folder / "tree"), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(content)
    (folder / "tree/shop/cart.py").chmod(0o755)
    (folder / "tree/link.py").symlink_to("shop/cart.py")
    os.mkfifo(folder / "tree/pipe")
    _, report = codebatch.scan(folder / "tree", folder / "store", scheduler="sync")
    assert report.status == "done"
    shutil.rmtree(folder / "store/indexes/stat")  # about this machine
    plain = min((folder / "store").glob("objects/*/*/*/*.zst"))
    plain.chmod(0o644)
    plain.write_bytes(plain.read_bytes()[:-12])
    plain.chmod(0o444)
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as packed:
        for path in sorted((folder / "store").rglob("*")):
            packed.add(path, path.relative_to(folder), recursive=False, filter=_anonymous)
    print(report.batch_id, report.snapshot_id, report.result)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = int(member.mtime)
    return member


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
