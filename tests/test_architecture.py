"""Rooms, and who may enter: imports run one way, arithmetic is pure, money never meets a float."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: lower rooms may not import higher ones; `tokenhub` is both the floor (leaves) and the roof (settings, urls, commands)
ROOMS = ("accounts", "billing", "gateway", "media_jobs")
#: modules of `tokenhub` that any room may import, because they import no room
LEAVES = {"errors", "ids", "money", "clock", "environment", "logs", "client_address", "figures", "charts", "snippets"}
#: arithmetic and wire formats: no Django, no database
PURE = [
    "tokenhub/money.py", "tokenhub/ids.py", "tokenhub/client_address.py", "billing/meters.py", "billing/pricing.py", "gateway/sse.py", "gateway/route_health.py", "gateway/tokens.py",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "gateway" / "sandbox").glob("*.py")),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "gateway" / "dialects").glob("*.py")),
]  # fmt: skip
GRAB_BAGS = {"utils", "helpers", "services", "misc", "common"}


def sources() -> list[Path]:
    folders = ("tokenhub", *ROOMS)
    return [
        path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in path.parts
    ]


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [p for p in sources() if p.relative_to(ROOT).parts[0] in ROOMS], ids=name_of)
def test_imports_run_one_way(path: Path) -> None:
    room = ROOMS.index(path.relative_to(ROOT).parts[0])
    for module in imports(path):
        top, _, rest = module.partition(".")
        if top in ROOMS:
            assert ROOMS.index(top) <= room, f"{path.name} imports {module}, a higher room"
        if top == "tokenhub" and rest:
            assert rest.partition(".")[0] in LEAVES, f"{path.name} imports {module}: only leaves are for everybody"


@pytest.mark.parametrize("leaf", sorted(LEAVES))
def test_leaves_import_no_room(leaf: str) -> None:
    modules = set(imports(ROOT / "tokenhub" / f"{leaf}.py"))
    assert not {module for module in modules if module.partition(".")[0] in ROOMS}


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_know_no_django(name: str) -> None:
    modules = {module.partition(".")[0] for module in imports(ROOT / name)}
    assert not modules & {"django", "psycopg", "redis", "celery", "accounts"}


def test_no_floats_in_billing() -> None:
    offenders = []
    for path in (ROOT / "billing").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_float = isinstance(node, ast.Constant) and isinstance(node.value, float)
            calls_float = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "float"
            divides = (
                isinstance(node, ast.BinOp)
                and isinstance(node.op, ast.Div)
                and "Path" not in ast.unparse(node)
                and "SQL" not in ast.unparse(node)
            )
            if (is_float and path.name != "group_commit.py") or calls_float or divides:  # group_commit counts seconds
                offenders.append(f"{path.name}:{node.lineno}")
    assert not offenders


def test_modules_are_named_after_nouns() -> None:
    assert not [name_of(path) for path in sources() if path.stem in GRAB_BAGS]


def test_stripe_is_imported_in_one_place() -> None:
    importers = {name_of(path) for path in sources() if "stripe" in {m.partition(".")[0] for m in imports(path)}}
    assert importers <= {"billing/stripe_api.py"}


def test_locks_are_hash_pinned_and_name_no_index() -> None:
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text()
        assert "://" not in text and "--hash=sha256:" in text
