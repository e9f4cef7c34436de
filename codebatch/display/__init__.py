"""What objects show of themselves in a notebook and a terminal: texts, HTML and drawings."""
