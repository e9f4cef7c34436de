"""Tasks over a whole batch: map, combine in a tree, finish; and the nodes that compute them."""
