"""Results that several stores share: packs of the memo at a remote, a folder or a server."""
