"""What makes a graph a Dask collection's: its layers, the keys of its outputs; and what Dask does
with a collection.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from dask import base
from dask.base import annotate, clone_key
from dask.delayed import Delayed
from dask.graph_manipulation import chunks
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.task_spec import DataNode, GraphNode, List, Task, TaskRef

from codebatch.graph.keys import name_of, output_keys
from codebatch.model.errors import MissingExtraError

__all__ = ["Reading", "annotate", "compute", "layered", "make_bag", "make_dataframe", "name_of"]
__all__ += ["is_persisted", "output_keys", "persist", "renamed"]


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


def is_persisted(nodes: Mapping[Any, Any]) -> bool:
    """Return true if Dask gives values, or futures of them, and no tasks."""
    return not any(isinstance(value, GraphNode) for value in nodes.values())


def renamed(key: Any, names: Mapping[str, str]) -> Any:
    """Return a key under another name, if there is one for it."""
    return (names.get(key[0], key[0]), *key[1:])


def compute(collection: Any, **options: Any) -> Any:
    """Return what `dask.compute` gives for one collection."""
    return base.compute(collection, traverse=False, **options)[0]  # type: ignore[no-untyped-call]


def persist(collection: Any, **options: Any) -> Any:
    """Return what `dask.persist` gives for one collection."""
    return base.persist(collection, traverse=False, **options)[0]  # type: ignore[no-untyped-call]


class Reading(NamedTuple):
    """The partitions of a collection: what each is ``read`` from, and the keys that it waits for;
    ``graph`` has the nodes of these.
    """

    name: str
    read: Callable[..., Any]
    partitions: Sequence[tuple[object, Sequence[Any]]]
    graph: HighLevelGraph

    def whole(self) -> HighLevelGraph:
        """Return the graph with a layer of the partitions."""
        nodes = {
            (self.name, number): Task(
                (self.name, number), self.read, partition, List(*map(TaskRef, needs))
            )
            for number, (partition, needs) in enumerate(self.partitions)
        }
        needed = {name_of(key) for _, needs in self.partitions for key in needs}
        layers = {**self.graph.layers, self.name: NodeLayer(nodes)}
        return HighLevelGraph(layers, {**self.graph.dependencies, self.name: needed})


def make_bag(reading: Reading) -> Any:
    """Return a `dask.bag.Bag` of what is read, list by list."""
    from dask.bag import Bag  # noqa: PLC0415 - takes a while to import, for this alone

    return Bag(reading.whole(), reading.name, len(reading.partitions))


def make_dataframe(reading: Reading, empty: Any) -> Any:
    """Return a `dask.dataframe.DataFrame` of what is read, with the columns of an ``empty`` one;
    `MissingExtraError` where pandas or pyarrow is missing.
    """
    try:
        from dask.dataframe import from_delayed, utils  # noqa: PLC0415 - needs optional packages
    except ImportError as error:
        raise MissingExtraError(
            f"Dask's DataFrames need pandas and pyarrow: {str(error).splitlines()[0]}",
            hints=["pip install 'codebatch[pandas,parquet]'"],
        ) from error
    graph = reading.whole()
    count = len(reading.partitions)
    delayed: Any = Delayed
    parts = [delayed((reading.name, n), graph, layer=reading.name) for n in range(count)]
    # Each partition has categories of its own.
    clear: Any = utils.clear_known_categories
    meta = clear(empty)
    return from_delayed(parts, meta=meta, prefix="records", verify_meta=False)
