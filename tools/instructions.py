# SPDX-License-Identifier: Apache-2.0
"""Prints python/bcai/vm/instructions.py from the instruction table, `bcai vm isa --json`.

    bcai vm isa --json | python3 tools/instructions.py > python/bcai/vm/instructions.py
"""

import json
import sys
import textwrap
from typing import Any

HEAD = '''\
# SPDX-License-Identifier: Apache-2.0
"""One method for each instruction. Printed by tools/instructions.py; do not edit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from bcai.vm.builder import Dim, Value


class Instructions:
    """The instructions as methods; :class:`~bcai.vm.Builder` has them all."""

    def _add(
        self,
        instruction: str,
        operands: Sequence[Value | None],
        attributes: Mapping[str, Any],
        dtype: object | None = None,
        shape: Sequence[int | Dim] | None = None,
    ) -> tuple[Value, ...]:
        raise NotImplementedError
'''

# What the caller states of the result, where a rule does not derive it; the rest is as operand 0.
STATED = {
    "Fill": ["dtype", "shape"],
    "Iota": ["dtype", "shape"],
    "Cast": ["dtype"],
    "Reshape": ["shape"],
    "Broadcast": ["shape"],
    "Slice": ["shape"],
    "Resize": ["shape"],
}
TYPES = {
    "int": "int",
    "float": "float",
    "flag": "bool",
    "ints": "Sequence[int]",
    "dims": "Sequence[int | Dim]",
}
# Written in text: they hold or name other parts of a program.
LEFT_OUT = {"Param", "Const", "Repeat", "Cond", "Call", "Return"}


def attribute(spec: dict[str, Any]) -> str:
    if spec["kind"] == "choice":
        words = ", ".join(json.dumps(word) for word in spec["words"])
        kind = f"Literal[\n            {words}\n        ]"
    else:
        kind = TYPES[spec["kind"]]
    if spec["required"]:
        return f"{spec['name']}: {kind}"
    default = spec["default"]
    if spec["kind"] == "flag":
        default = str(default != "0")
    elif spec["kind"] == "float":
        default = repr(float(default))
    elif spec["kind"] == "ints":
        default = "()"
    elif spec["kind"] == "choice":
        default = json.dumps(default)
    return f"{spec['name']}: {kind} = {default}"


def wrapped(text: str, hang: str = "") -> list[str]:
    return textwrap.wrap(text, 100, initial_indent=" " * 8, subsequent_indent=" " * 8 + hang,
                         break_on_hyphens=False)


def docstring(one: dict[str, Any], stated: list[str]) -> list[str]:
    lines = wrapped(f'"""{one["summary"]}.') + [""]
    for spec in one["operands"]:
        repeated = ", repeated" if one["variadic"] and spec is one["operands"][-1] else ""
        optional = ", optional" if spec["optional"] else ""
        lines += wrapped(f"- ``{spec['name']}`` {spec['shape']}{repeated}{optional}", "  ")
    for name in stated:
        lines += wrapped(f"- ``{name}`` of the result", "  ")
    for spec in one["attributes"]:
        lines += wrapped(f"- ``{spec['name']}`` {spec['meaning']}", "  ")
    if len(lines) > 2:
        lines.append("")
    if len(one["results"]) > 1:
        lines += wrapped(f"Results: {', '.join(one['results'])}.")
    lines += wrapped(f"Shape rule: {one['rule']}.")
    lines += wrapped(f"Dtypes: {', '.join(one['dtypes'])}.")
    return [*lines, '        """']


def method(one: dict[str, Any]) -> str:
    stated = STATED.get(one["class"], []) if one["stated"] else []
    operands = []
    for spec in one["operands"]:
        if one["variadic"] and spec is one["operands"][-1]:
            operands.append(f"*{spec['name']}: Value")
        elif spec["optional"]:
            operands.append(f"{spec['name']}: Value | None = None")
        else:
            operands.append(f"{spec['name']}: Value")
    keywords = [("shape: Sequence[int | Dim]" if name == "shape" else "dtype: object")
                for name in stated]
    # Those without a default first, as the language wants it of readers too.
    keywords += sorted(map(attribute, one["attributes"]), key=lambda text: " = " in text)
    first = [] if any(name.startswith("*") for name in operands) or not keywords else ["*"]
    count = len(one["results"])
    result, returned = "Value", "results[0]"
    if one["results"][0].endswith(".."):
        result, returned = "tuple[Value, ...]", "results"
    elif count > 1:
        result = f"tuple[{', '.join(['Value'] * count)}]"
        returned = ", ".join(f"results[{i}]" for i in range(count))
    parameters = ["self", *operands, *first, *keywords]
    lines = [f"    def {one['name']}("]
    lines += [f"        {parameter}," for parameter in parameters]
    lines += [f"    ) -> {result}:", *docstring(one, stated)]
    names = [spec["name"] for spec in one["operands"]]
    passed = ", ".join(f"*{name}" if one["variadic"] and name == names[-1] else name
                       for name in names)
    passed += "," if len(names) == 1 else ""
    lines += ["        results = self._add(", f'            "{one["name"]}",',
              f"            ({passed}),"]
    if one["attributes"]:
        lines.append("            {")
        lines += [f'                "{spec["name"]}": {spec["name"]},'
                  for spec in one["attributes"]]
        lines.append("            },")
    else:
        lines.append("            {},")
    lines += [f"            {name}={name}," for name in stated]
    lines += ["        )", f"        return {returned}"]
    return "\n".join(lines) + "\n"


def main() -> None:
    table = json.load(sys.stdin)
    methods = [method(one) for one in table["instructions"] if one["name"] not in LEFT_OUT]
    sys.stdout.write(HEAD + "".join("\n" + each for each in methods))


if __name__ == "__main__":
    main()
