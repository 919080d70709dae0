# SPDX-License-Identifier: Apache-2.0
"""What the coordinator answers is what schema/openapi.yaml says: every route is asked, each answer
has a declared status and content type, and its body is of the declared schema."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "schema" / "openapi.yaml").read_text())
BASE = "urn:openapi"
REGISTRY: Registry[Any] = Registry().with_resource(
    BASE, Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
)
METHODS = ("get", "head", "put", "post", "delete")


def program() -> Path | None:
    """The one that was built last."""
    found = (ROOT / "build").glob("*/src/coordinator/coordinator_answers")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


@pytest.fixture(scope="module")
def answers() -> list[dict[str, Any]]:
    found = program()
    if found is None:
        pytest.skip("needs the program coordinator_answers: ./dev build")
    done = subprocess.run([found], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "Failure" not in done.stderr, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def operation_of(answer: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    path = answer["target"].split("?")[0]
    literal = [one for one in DOCUMENT["paths"] if one == path]
    pattern = [
        one for one in DOCUMENT["paths"] if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", one), path)
    ]
    route = (literal or pattern)[0]
    return f"{answer['method']} {route}", DOCUMENT["paths"][route][answer["method"].lower()]


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        target: Any = DOCUMENT
        for key in value["$ref"].removeprefix("#/").split("/"):
            target = target[key]
        value = target
    return value


def absolute(schema: Any) -> Any:
    """The schema with its references into the document."""
    if isinstance(schema, dict):
        return {
            key: BASE + value if key == "$ref" else absolute(value) for key, value in schema.items()
        }
    return [absolute(one) for one in schema] if isinstance(schema, list) else schema


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator(
        absolute(schema),
        registry=REGISTRY,
        format_checker=Draft202012Validator.FORMAT_CHECKER,
    )


def problems(schema: dict[str, Any], value: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in validator(schema).iter_errors(value)]


def test_the_description_is_valid() -> None:
    validate(DOCUMENT)


def test_its_examples_are_of_its_schemas() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    examples = DOCUMENT["components"]["examples"]
    assert problems(schemas["Job"], examples["QueuedJob"]["value"]) == []
    assert problems(schemas["JobResults"], examples["FinishedResult"]["value"]) == []
    assert problems(schemas["Problem"], examples["Findings"]["value"]) == []
    body = DOCUMENT["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]
    for example in body["examples"].values():
        assert problems(schemas["JobSubmission"], example["value"]) == []


def test_every_operation_is_asked(answers: list[dict[str, Any]]) -> None:
    declared = {
        f"{method.upper()} {path}"
        for path, item in DOCUMENT["paths"].items()
        for method in item
        if method in METHODS
    }
    # A registration that succeeds is part of the fake node, which does not record.
    assert declared - {operation_of(answer)[0] for answer in answers} == set()
    assert len(answers) > 80


def test_every_answer_is_as_declared(answers: list[dict[str, Any]]) -> None:
    wrong = []
    statuses = set()
    for answer in answers:
        where, operation = operation_of(answer)
        where += f" {answer['status']} ({answer['target']})"
        statuses.add(answer["status"])
        declared = operation["responses"].get(str(answer["status"]))
        if declared is None:
            wrong.append(f"{where}: the status is not declared")
            continue
        content = resolved(declared).get("content", {})
        kind = answer["content_type"].split(";")[0]
        if not content or answer["method"] == "HEAD":
            continue
        if kind not in content:
            wrong.append(f"{where}: content type {kind!r} is not declared")
        elif kind.endswith("json"):
            wrong += [
                f"{where}: {one}" for one in problems(content[kind]["schema"], answer["body"])
            ]
    assert wrong == []
    assert statuses >= {200, 201, 202, 204, 206, 400, 401, 403, 404, 409, 412, 413, 416}


def test_a_wrong_answer_is_noticed() -> None:
    job = dict(DOCUMENT["components"]["examples"]["QueuedJob"]["value"])
    schema = {"$ref": "#/components/schemas/Job"}
    assert problems(schema, job) == []
    assert problems(schema, {**job, "state": "nonsense"})
    assert problems(schema, {**job, "id": "job_1"})
    del job["version"]
    assert problems(schema, job)
