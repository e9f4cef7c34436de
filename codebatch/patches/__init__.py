"""What tasks would change in files: collected from a batch, and made in a tree."""
