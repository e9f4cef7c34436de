"""Where source trees come from: a directory, walked in a stable order."""

# Whatever is larger is no source: an image, a dump, a sparse file that would take minutes to read.
DEFAULT_MAX_FILE_BYTES = 2**30
