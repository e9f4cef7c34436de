"""One shard, from opening its files to the commit of its records."""
