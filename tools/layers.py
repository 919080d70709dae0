# SPDX-License-Identifier: Apache-2.0
"""Refuses an #include that layers.toml does not allow, a room it does not list, and a cycle."""

import fnmatch
import pathlib
import re
import tomllib

INCLUDE = re.compile(r'\s*#\s*include\s+(["<])([^">]+)[">]')


def check(root: pathlib.Path) -> list[str]:
    rules = tomllib.loads((root / "layers.toml").read_text())
    rooms: dict[str, list[str]] = rules["rooms"]
    fences: dict[str, str] = rules["fences"]
    bad: list[str] = []
    edges: dict[str, set[str]] = {room: set() for room in rooms}

    def room_of(path: str) -> str | None:
        hits = [room for room in rooms if path.startswith(room + "/")]
        return max(hits, key=len) if hits else None

    for file in sorted((root / "src").rglob("*")):
        if file.suffix not in {".h", ".cc"}:
            continue
        name = file.relative_to(root / "src").as_posix()
        here = room_of(name)
        if here is None:
            bad.append(f"src/{name}: in no room of layers.toml")
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            found = INCLUDE.match(line)
            if not found:
                continue
            quote, target = found.groups()
            for prefix, owner in fences.items():
                if target.startswith(prefix) and here != owner and not name.endswith("_test.cc"):
                    bad.append(f"src/{name}:{number}: {target} belongs to {owner} alone")
            there = room_of(target) if quote == '"' else None
            if there in (None, here, "base") or name.endswith(("_test.cc", "_fuzz.cc")):
                continue
            edges[here].add(there)
            if not any(fnmatch.fnmatchcase(there, allowed) for allowed in rooms[here]):
                bad.append(f"src/{name}:{number}: {here} may not include {there}")

    def visit(room: str, trail: tuple[str, ...]) -> None:
        if room in trail:
            bad.append("cycle: " + " -> ".join((*trail[trail.index(room):], room)))
            return
        for there in edges[room]:
            visit(there, (*trail, room))

    for room in rooms:
        visit(room, ())
    return list(dict.fromkeys(bad))
