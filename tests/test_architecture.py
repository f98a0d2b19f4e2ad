"""The walls of docs/architecture.md, "Who must not know whom", held by reading every import in the tree."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Folder or files -> modules they may not import, themselves or through a submodule.
WALLS: dict[str, tuple[str, ...]] = {
    "inference": ("django", "channels", "celery", "chatapp", "search", "uploads"),
    # Kernels know tensors; the plain forms beside them say again what the model's modules say, and tests compare both.
    "inference/kernels": tuple(
        f"inference.{module}" for module in "batch cache config engine fp8_cache model sampler sequence".split()
    ),
    "inference/scheduler.py": ("torch",),
    "inference/blocks.py": ("torch",),
    "inference/sequence.py": ("torch",),
    "inference/shares.py": ("torch",),
    "uploads": ("chatapp", "search", "inference"),
    # What runs in the fenced child, and the fence, start without Django.
    **{
        f"uploads/{module}.py": ("django", "celery")
        for module in """
            archive child compound confinement document fence landlock place seccomp sniffing text_kinds wire
        """.split()
    },
    "uploads/parsers": ("django", "celery", "channels", "httpx", "requests", "redis", "socket", "torch", "spacy"),
    "uploads/computing": ("django", "celery"),
    "search": ("chatapp", "uploads", "inference"),
    "search/web": ("django", "psycopg"),
    "search/encoder": ("django", "celery"),
    "search/encoding.py": ("django",),
    "search/passages.py": ("django",),
    "search/places.py": ("django",),
    "search/ranking.py": ("django",),
    "search/sentences.py": ("django",),
    "search/terms.py": ("django",),
    "chatapp": ("inference", "torch", "triton", "unstructured"),
    "chatapp/context": ("django", "httpx", "redis", "psycopg", "time", "datetime", "os", "asyncio", "chatapp.config"),
    "chatapp/config.py": ("django",),
    "ops": ("django", "torch", "chatapp", "inference", "search", "uploads"),
}


def python_files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Every module named by an import statement, relative ones resolved against `package`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def breaches(source: str, package: str, forbidden: tuple[str, ...]) -> list[str]:
    return sorted(
        {
            module
            for module in imported_modules(source, package)
            if any(module == wall or module.startswith(wall + ".") for wall in forbidden)
        }
    )


@pytest.mark.parametrize("place", WALLS)
def test_nobody_imports_through_a_wall(place: str) -> None:
    files = python_files(place)
    assert files, f"{place} has no Python file: the wall would guard nothing"
    found = {}
    for path in files:
        relative = path.relative_to(ROOT)
        crossed = breaches(path.read_text(encoding="utf-8"), ".".join(relative.parent.parts), WALLS[place])
        if crossed:
            found[str(relative)] = crossed
    assert not found


@pytest.mark.parametrize(
    "source",
    [
        "import torch",
        "import torch.nn as nn",
        "from torch import nn",
        "def late():\n    from torch.nn import functional",
        "from ..torch import nn",
    ],
)
def test_every_way_to_import_is_seen(source: str) -> None:
    assert breaches(source, "pkg.sub", ("torch", "pkg.torch"))


# The web is asked and read by workers alone: the libraries that do it are in no other image.
LIGHT = """
    canonical events excerpts fragments keywords languages mentioned page providers.fields ranking unread untrusted
""".split()
WEB_WORKERS = ("engines", "icons", "pdf", "running", "tasks")


def test_pages_of_the_web_are_asked_for_by_workers_alone() -> None:
    heavy = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in python_files("search/web")
        if path.stem != "__init__"
    ]
    heavy = [name for name in heavy if name.removeprefix("search.web.") not in LIGHT]
    assert "search.web.session" in heavy
    ours = {ROOT / "chatapp" / "searches" / f"{name}.py" for name in WEB_WORKERS}
    forbidden = (*heavy, *(f"chatapp.searches.{name}" for name in WEB_WORKERS))
    found = {
        str(path.relative_to(ROOT)): crossed
        for path in python_files("chatapp")
        if path not in ours and (crossed := breaches(path.read_text(encoding="utf-8"), "chatapp", forbidden))
    }
    assert not found


AGREED = """
    manage.py pyproject.toml docker-compose.yml chatapp inference search uploads templates static tests
    README.md Makefile package.json docs ops
""".split()


def test_top_level_is_the_agreed_one() -> None:
    assert set(AGREED) <= {path.name for path in ROOT.iterdir()}


def test_serving_from_a_cpu_loads_no_triton() -> None:
    modules = "inference.serve, inference.engine, inference.model, inference.server.app, inference.followers"
    code = f"import sys, {modules}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    loaded = run.stdout.split()
    assert "inference.serve" in loaded
    assert not [name for name in loaded if name.split(".")[0] == "triton" or name.startswith("inference.kernels")]
