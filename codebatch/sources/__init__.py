"""Where source trees come from: a directory, walked in a stable order."""
