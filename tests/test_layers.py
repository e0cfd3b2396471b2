"""The structure of the package: imports point one way, and files and functions stay short.

A room is a top-level module or package of src/hornbook. ORDER lists the rooms; each imports only from rooms before
it. Imports inside functions, under TYPE_CHECKING and module names in strings count like any other; the tables of a
`Registry` do not: they name what other rooms add, as an entry point does.
"""

import ast
import graphlib
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

# The README's tree shows the rooms in this order. `hornbook` is src/hornbook/__init__.py, the public API.
ORDER = (
    "errors",
    "machine",
    "registry",
    "metrics",
    "languages",
    "recipe",
    "store",
    "terms",
    "kernels",
    "index",
    "tasks",
    "corpus",
    "retrieval",
    "cluster",
    "models",
    "textbook",
    "training",
    "evaluation",
    "results",
    "export",
    "inference",
    "labelling",
    "report",
    "pipeline",
    "experiment",
    "demo",
    "cli",
    "hornbook",
    "__main__",
)
# Rooms that a room must not import although they come before it.
FORBIDDEN = {"report": {"corpus", "retrieval", "textbook", "training"}}
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 400

_ROOT = Path(__file__).parents[1]
_SOURCE = _ROOT / "src" / "hornbook"
_MODULE_IN_TEXT = re.compile(r"hornbook(\.\w+)+(?=:\w+$|$)")


def module_name(path: Path) -> str:
    parts = path.relative_to(_SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(_SOURCE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text("utf-8")) for name, path in MODULES.items()}


def room(module: str) -> str:
    """Return the room of a module: the second part of its name."""
    return module.split(".")[1] if "." in module else "hornbook"


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the module of everything that is imported from the package."""
    tables = {
        id(entry)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Registry"
        for entry in ast.walk(call)
    }
    for node in ast.walk(tree):
        if id(node) in tables:
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            match = _MODULE_IN_TEXT.match(node.value)
            names = [match.group()] if match else []
        for name in names:
            if name == "hornbook" or name.startswith("hornbook."):
                while name not in MODULES:
                    name = name.rpartition(".")[0]
                # A package named in the text of its own module, such as "hornbook._core", adds nothing.
                if not (isinstance(node, ast.Constant) and name == "hornbook"):
                    yield node.lineno, name


IMPORTS = [
    (f"{MODULES[module].relative_to(_ROOT)}:{line}", module, target)
    for module, tree in TREES.items()
    for line, target in imported(tree)
    if target != module
]


def listed(faults: list[str]) -> str:
    return "\n" + "\n".join(faults)


def upward(imports: list[tuple[str, str, str]]) -> list[str]:
    """Return the imports that do not point to an earlier room, or that are forbidden."""
    floor = {name: number for number, name in enumerate(ORDER)}
    return [
        f"{place} imports {target}"
        for place, module, target in imports
        if (here := room(module)) != (there := room(target))
        and (floor[there] > floor[here] or there in FORBIDDEN.get(here, ()))
    ]


def test_every_room_has_a_place_in_the_order():
    assert {room(module) for module in MODULES} <= set(ORDER), "add the new room to ORDER and to the README's tree"


def test_no_import_points_upward():
    assert not upward(IMPORTS), listed(upward(IMPORTS))


def test_an_upward_import_is_noticed():
    hidden = ast.parse(
        "if TYPE_CHECKING:\n    from hornbook.training import distil\n"
        "def f():\n    import hornbook.cli\n    import_module('hornbook.pipeline.run')\n"
        "    from hornbook.errors import HornbookError\n"
    )
    found = [(f"x:{line}", "hornbook.store.keys", target) for line, target in imported(hidden)]
    assert sorted(upward(found)) == [
        "x:2 imports hornbook.training.distil",
        "x:4 imports hornbook.cli",
        "x:5 imports hornbook.pipeline.run",
    ]


def test_no_modules_import_each_other_in_a_circle():
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for _, module, target in IMPORTS:
        graph[module].add(target)
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_readme_shows_the_rooms_in_the_order_of_imports():
    tree = re.search(r"^src/hornbook/\n((?:  .*\n)*)", (_ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    assert tree, "README.md has no tree that begins with src/hornbook/"
    shown = [re.sub(r"(\.py|/)$", "", name) for name in re.findall(r"^  (\S+)", tree[1], re.MULTILINE)]
    there = {room(module) for module in MODULES} - {"hornbook", "__main__"}
    assert shown == [name for name in ORDER if name in there]


def code_lines(path: Path) -> list[tuple[int, str, int]]:
    """Return line, name and number of lines with code (no comment, docstring or empty line) of each function."""
    text = path.read_text("utf-8")
    ignored = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in ignored:
            code.update(range(token.start[0], token.end[0] + 1))
    counts = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
            docstring = set(range(doc.lineno, (doc.end_lineno or 0) + 1)) if doc else set()
            span = set(range(node.lineno, (node.end_lineno or 0) + 1))
            counts.append((node.lineno, node.name, len(span & code - docstring)))
    return counts


def test_functions_are_short():
    long = [
        f"{path.relative_to(_ROOT)}:{line} {name} has {count} lines of code"
        for path in MODULES.values()
        for line, name, count in code_lines(path)
        if count > MAX_FUNCTION_LINES
    ]
    assert not long, listed(long)


def test_comments_and_docstrings_do_not_count_as_code(tmp_path: Path):
    path = tmp_path / "x.py"
    path.write_text('def f(\n    a,\n):\n    """One.\n\n    Two.\n    """\n    # three\n\n    return """\n    """\n')
    assert code_lines(path) == [(1, "f", 5)]


def test_files_are_short():
    files = [*MODULES.values(), *(path for path in (_ROOT / "core").rglob("*") if path.suffix in {".cpp", ".h"})]
    long = [
        f"{path.relative_to(_ROOT)} has {count} lines"
        for path in files
        if (count := path.read_text("utf-8").count("\n")) > MAX_FILE_LINES
    ]
    assert not long, listed(long)


def test_results_have_types():
    untyped = [
        f"{path.relative_to(_ROOT)}: {line.strip()}"
        for path in MODULES.values()
        for line in path.read_text("utf-8").splitlines()
        if re.match(r"\s*(type )?Row\b.*= dict\[str, Any\]", line)
    ]
    assert not untyped, listed(untyped)
