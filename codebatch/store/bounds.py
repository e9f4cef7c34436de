"""How large the files of a store may be, in bytes: no more is ever read of one.

A size that stands in a document counts besides: outputs, inputs and objects are read as far as
what refers to them says. These limits are for what nothing vouches for, and far above what a
batch of ten million files needs.
"""

from __future__ import annotations

SMALL_BYTES = 2**20  # store.json, leases, claims, quarantined results, checksums
DOCUMENT_BYTES = 16 * 2**20  # plans, states, documents of tasks and batches, totals
SNAPSHOT_BYTES = 16 * 2**20  # with everything that was left out of a tree
INDEX_BYTES = 2 * 2**30  # manifests, inputs, outputs
EVENTS_BYTES = 16 * 2**20  # the last of them
CACHE_BYTES = 2**29  # what is known of a source tree
HELD_BYTES = 2**30  # an object of which nothing says how large it is
OBJECT_BYTES = 2**40  # what is only looked through, a portion at a time
CHUNK_BYTES = 16 * 2**20  # what a task stores: a larger value is cut into chunks
