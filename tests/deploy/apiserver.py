"""What an API server of Kubernetes with Dask's operator would say to a document.

Its schemas come out of two wheels, which are only read: the operator's own, and that of the
Python client, whose models are made from the API of Kubernetes. Neither is installed: together
they bring 300 MB of dependencies, and the operator is loaded at every start of `dask` and writes
into the home folder. The wheels are in the folder that KUBERNETES_WHEELS names:

    pip download --no-deps --dest FOLDER dask-kubernetes kubernetes

An API server drops fields that it does not know without a word. Here they are errors.
"""

from __future__ import annotations

import ast
import os
import re
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

VARIABLE = "KUBERNETES_WHEELS"

Schema = dict[str, Any]

_SCALARS: dict[str, Schema] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string"},
    "object": {},
}
_LIST = re.compile(r"[Ll]ist\[(.*)\]\Z")
_DICT = re.compile(r"[Dd]ict\[str, (.*)\]\Z")


def complaints(document: Mapping[str, Any]) -> list[str]:
    """What is wrong with a document; skips where the schemas are not here."""
    kind = document["kind"]
    if document["apiVersion"].startswith("kubernetes.dask.org/"):
        schema = custom_schemas()[kind]
    else:
        schema = model_schema(f"V1{kind}")
    errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in errors]


@cache
def custom_schemas() -> dict[str, Schema]:
    """The schemas of the operator's kinds, by kind."""
    schemas = {}
    with wheel("dask_kubernetes") as archive:
        names = [name for name in archive.namelist() if re.search(r"/crds/\w+\.yaml\Z", name)]
        for name in names:
            spec = yaml.safe_load(archive.read(name))["spec"]
            (version,) = (one for one in spec["versions"] if one["name"] == "v1" and one["served"])
            schema = closed(version["schema"]["openAPIV3Schema"])
            # The API server itself knows these of every kind.
            schema["properties"] |= {"apiVersion": {}, "kind": {}}
            schema["properties"]["metadata"] = model_schema("V1ObjectMeta")
            schemas[spec["names"]["kind"]] = schema
    return schemas


def closed(schema: Mapping[str, Any]) -> Schema:
    """As JSON Schema, without fields that are not named."""
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made = dict(schema)
    for name in ("items", "additionalProperties"):
        if isinstance(made.get(name), dict):
            made[name] = closed(made[name])
    if "properties" in made:
        made["properties"] = {name: closed(one) for name, one in made["properties"].items()}
    if made.get("type") == "object" and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if made.pop("nullable", False):
        made["type"] = [made["type"], "null"]
    return made


@cache
def model_schema(kind: str) -> Schema:
    """The schema of a type of Kubernetes itself."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    if inner := _LIST.match(kind):
        return {"type": "array", "items": model_schema(inner[1])}
    if inner := _DICT.match(kind):
        return {"type": "object", "additionalProperties": model_schema(inner[1])}
    tables = _tables(kind)
    names = tables["attribute_map"]
    properties = {names[key]: model_schema(it) for key, it in tables["openapi_types"].items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _tables(model: str) -> dict[str, dict[str, str]]:
    """The literal dictionaries of a class of the Python client."""
    with wheel("kubernetes") as archive:
        modules = (it for it in archive.namelist() if it.startswith("kubernetes/client/models/"))
        by_name = {Path(name).stem.replace("_", ""): name for name in modules}
        source = archive.read(by_name[model.lower()])
    (made,) = (
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == model
    )
    tables = {}
    for node in made.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(getattr(node, "value", None), ast.Dict):
                tables[target.id] = ast.literal_eval(node.value)  # type: ignore[attr-defined]
    return tables


def wheel(package: str) -> zipfile.ZipFile:
    """The wheel of a package in the folder."""
    folder = os.environ.get(VARIABLE)
    if folder is None:
        pytest.skip(
            f"{VARIABLE} names no folder with the wheels that hold Kubernetes' schemas; "
            "tests/deploy/apiserver.py says how to get them"
        )
    (path,) = Path(folder).glob(f"{package}-*.whl")
    return zipfile.ZipFile(path)
