"""The rules of the house: imports point one way, public API only, nothing forbidden."""

import ast
import pathlib
import re

import pytest

import snn_toolbox_tf

PACKAGE = pathlib.Path(snn_toolbox_tf.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

#: From the foundations to the front door: a module imports from its own line or from lines above it.
LEVELS = [
    ["version", "foundation"],
    ["neurons", "model_files", "events"],
    ["ops", "graph"],
    ["layers", "activations"],
    ["synapses"],
    ["parse", "grid", "network"],
    ["passes", "calibration"],
    ["tasks"],
    ["simulation"],
    ["training", "corrections"],
    ["distillation"],
    ["model"],
    ["nir_files", "latency"],
    ["report", "costs", "config"],
    ["conversion"],
    ["analysis", "distributed"],
    ["studies"],
    ["export"],
    ["experiment"],
    ["cli"],
    ["__main__"],
]
LEVEL = {name: number for number, names in enumerate(LEVELS) for name in names}


def imported_modules(path):
    """First-level names inside the package that a file imports at run time."""
    tree = ast.parse(path.read_text())
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in guarded or not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        parts = node.module.split(".")
        if parts[0] == "snn_toolbox_tf":
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for name in imported_modules(path):
        assert LEVEL[name] <= LEVEL[room], f"{room} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_api_only_and_nothing_forbidden(path):
    text = path.read_text()
    assert not re.search(r"keras\.src|tensorflow\.python", text)
    calls = [
        node.func.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert not {"eval", "exec", "print"} & set(calls)
    assert not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(text)))
    assert "pickle" not in text.replace("allow_pickle=False", "")
