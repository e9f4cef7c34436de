"""Snapshots of source trees: a directory, walked in a stable order, to a manifest."""

# Whatever is larger is no source: an image, a dump, a sparse file that would take minutes to read.
DEFAULT_MAX_FILE_BYTES = 2**30
