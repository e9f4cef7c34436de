"""Content-addressed objects: read, written, compressed, referred to."""
