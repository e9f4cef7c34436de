"""What makes a graph a Dask collection's: its layers, the keys of its outputs; and what Dask does
with a collection.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from dask import base
from dask.base import annotate, clone_key
from dask.graph_manipulation import chunks
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import DataNode, GraphNode, Task, TaskRef

from codebatch.graph.keys import name_of, output_keys
from codebatch.model.errors import MissingExtraError

__all__ = ["annotate", "compute", "layered", "name_of", "output_keys", "persist"]
__all__ += ["renamed", "visualize"]


class NodeLayer(MaterializedLayer):
    """A layer of Dask's task objects, the references of which `dask.graph_manipulation` changes:
    Dask's own layers change those of tuples alone.
    """

    def clone(
        self, keys: set[Any], seed: Hashable, bind_to: Any = None
    ) -> tuple[MaterializedLayer, bool]:
        """Return the layer with those keys replaced, and whether a node waits for ``bind_to``: one
        that refers to none of them does.
        """
        nodes, is_bound = {}, False
        for key, node in self.mapping.items():
            name = clone_key(key, seed) if key in keys else key
            replaced = {one: clone_key(one, seed) for one in node.dependencies if one in keys}
            nodes[name] = node.substitute(replaced, key=name)
            if bind_to is not None and name != key and not replaced:
                nodes[name] = Task(name, chunks.bind, node, TaskRef(bind_to))
                is_bound = True
        return NodeLayer(nodes), is_bound


def layered(nodes: Mapping[Any, Any], annotations: Mapping[str, Any] | None = None) -> Any:
    """Return a `HighLevelGraph` of nodes: a layer for each name that keys start with, named so."""
    if isinstance(nodes, HighLevelGraph):
        return nodes
    layers: dict[str, dict[Any, Any]] = {}
    needs: dict[str, set[str]] = {}
    for key, value in nodes.items():
        # A receipt is a tuple, and a future a reference.
        node = value if isinstance(value, (GraphNode, TaskRef)) else DataNode(key, value)
        name = name_of(key)
        layers.setdefault(name, {})[key] = node
        needs.setdefault(name, set()).update(map(name_of, getattr(node, "dependencies", ())))
    with annotate(**(annotations or {})):
        made = {name: NodeLayer(mapping) for name, mapping in layers.items()}
    return HighLevelGraph(made, {name: found - {name} for name, found in needs.items()})


def renamed(key: Any, names: Mapping[str, str]) -> Any:
    """Return a key under another name, if there is one for it."""
    return (names.get(key[0], key[0]), *key[1:])


def compute(collection: Any, **options: Any) -> Any:
    """Return what `dask.compute` gives for one collection."""
    return base.compute(collection, traverse=False, **options)[0]  # type: ignore[no-untyped-call]


def persist(collection: Any, **options: Any) -> Any:
    """Return what `dask.persist` gives for one collection."""
    return base.persist(collection, traverse=False, **options)[0]  # type: ignore[no-untyped-call]


def visualize(collection: Any, filename: str | None, **options: Any) -> Any:
    """Return what `dask.visualize` gives; `MissingExtraError` where nothing draws."""
    try:
        return base.visualize(collection, filename=filename, traverse=False, **options)
    except (ImportError, RuntimeError) as error:
        raise MissingExtraError(
            f"a graph cannot be drawn: {str(error).splitlines()[0]}",
            hints=["pip install graphviz, and install the program dot"],
        ) from error
