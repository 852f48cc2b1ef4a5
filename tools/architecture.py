"""Draws the pictures and tables of docs/architecture.md from the imports and the layers in setup.cfg."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import grimp
from importlinter import api

from tools import written_files

PAGE = Path("docs/architecture.md")
SOURCE = Path("src")

Room = tuple[str, ...]
"""The modules of one box: one package or module, or several that import each other freely."""

Edges = Mapping[Room, frozenset[Room]]


def desired_files() -> dict[Path, str]:
    """The page with the text between its markers drawn anew."""
    graph = grimp.build_graph("builders", include_external_packages=True, cache_dir=None)
    text = PAGE.read_text(encoding="utf-8")
    for contract in api.read_configuration()["contracts_options"]:
        if contract["type"] == "layers":
            container = contract["containers"]
            rooms = [room for layer in contract["layers"] for room in _rooms(container, layer)]
            edges = _edges(graph, rooms)
            text = _between(text, f"picture of {container}", _picture(rooms, _reduced(edges)))
            text = _between(text, f"rooms of {container}", _table(graph, rooms))
    return {PAGE: text}


def _rooms(container: str, layer: str) -> Iterator[Room]:
    """The boxes of one layer: bars separate boxes, colons the modules of one box."""
    for box in layer.split("|"):
        yield tuple(f"{container}.{name.strip()}" for name in box.split(":"))


def _edges(graph: grimp.ImportGraph, rooms: Sequence[Room]) -> Edges:
    """The boxes that each box imports from."""
    room_of = {module: room for room in rooms for name in room for module in (name, *graph.find_descendants(name))}
    found: dict[Room, set[Room]] = {room: set() for room in rooms}
    for module, room in room_of.items():
        imported = graph.find_modules_directly_imported_by(module)
        found[room] |= {room_of[each] for each in imported if each in room_of} - {room}
    return {room: frozenset(imported) for room, imported in found.items()}


def _reduced(edges: Edges) -> Edges:
    """The edges without those that a longer path shows, too."""

    def below(room: Room) -> set[Room]:
        return {deeper for each in edges[room] for deeper in ({each} | below(each))}

    return {
        room: frozenset(each for each in imported if not any(each in below(other) for other in imported))
        for room, imported in edges.items()
    }


def _picture(rooms: Sequence[Room], edges: Edges) -> str:
    lines = ["```mermaid", "flowchart TD"]
    for room in rooms:
        lines.append(f'    {_name(room)}["{"<br/>".join(name.rpartition(".")[2] for name in room)}"]')
    for room in rooms:
        lines += [f"    {_name(room)} --> {_name(each)}" for each in rooms if each in edges[room]]
    return "\n".join([*lines, "```"])


def _name(room: Room) -> str:
    return room[0].rpartition(".")[2]


def _table(graph: grimp.ImportGraph, rooms: Sequence[Room]) -> str:
    lines = ["| room | purpose | libraries |", "|---|---|---|"]
    for name in (name for room in rooms for name in room):
        lines.append(f"| `{name}` | {_purpose(name)} | {', '.join(_libraries(graph, name))} |")
    return "\n".join(lines)


def _purpose(module: str) -> str:
    """The first sentence of the module's docstring."""
    path = SOURCE / module.replace(".", "/")
    package = path / "__init__.py"  # a folder without it may be what is left of one
    text = (package if package.exists() else path.with_suffix(".py")).read_text(encoding="utf-8")
    first = " ".join((ast.get_docstring(ast.parse(text)) or "").partition("\n\n")[0].split())
    return re.split(r"\.(?:\s|$)", first)[0].replace("|", "\\|")


def _libraries(graph: grimp.ImportGraph, name: str) -> list[str]:
    imported = {
        each.partition(".")[0]
        for module in (name, *graph.find_descendants(name))
        for each in graph.find_modules_directly_imported_by(module)
    }
    return sorted(imported - sys.stdlib_module_names - {"builders"})


def _between(text: str, marker: str, content: str) -> str:
    """Replace what is between the lines `<!-- marker -->` and `<!-- end -->`."""
    pattern = rf"(<!-- {re.escape(marker)} -->\n).*?(<!-- end -->)"
    if not re.search(pattern, text, flags=re.DOTALL):
        raise ValueError(f"{PAGE} has no lines `<!-- {marker} -->` and `<!-- end -->`")
    return re.sub(pattern, lambda found: f"{found[1]}\n{content}\n\n{found[2]}", text, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(written_files.main("tools.architecture", desired_files()))
