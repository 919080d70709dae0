# SPDX-License-Identifier: Apache-2.0
"""Runs in a sandbox: from requirements to wheels, by uv. Reads request.json:
{"requirements": […], "base": {name: version}, "index_url": "" | "https://…/simple", "built":
[{"name", "version", "wheel", "sha256", "bytes"}]}: wheels in built/ that were built from source,
which are what there is of these packages.

The base's packages are shown to uv as wheels that hold their metadata alone, and pinned: what they
satisfy is resolved to them and left out of what is to be added.
"""
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
import tomllib
import urllib.request
import zipfile
from email.parser import BytesParser
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

import bcai

TOOLS = "/opt/environment"


def normalized(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def write_stub(directory, name, version, requires, extras):
    escaped = name.replace("-", "_")
    information = f"{escaped}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    lines = [f"Provides-Extra: {extra}\n" for extra in extras]
    lines += [f"Requires-Dist: {requirement}\n" for requirement in requires]
    with zipfile.ZipFile(directory / f"{escaped}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{information}/METADATA", head + "".join(lines))
        wheel.writestr(f"{information}/WHEEL",
                       "Wheel-Version: 1.0\nGenerator: bcai\nRoot-Is-Purelib: true\n"
                       "Tag: py3-none-any\n")
        wheel.writestr(f"{information}/RECORD", "")


def write_stubs(directory, base, site_packages):
    """Of a package's own requirements those stay that the base has, or that an extra asks for: the
    base is what it is, whatever else its packages would like."""
    directory.mkdir()
    for found in metadata.distributions(path=[site_packages]):
        name = normalized(found.metadata["Name"] or "")
        if base.get(name) != found.version:
            continue
        requires = []
        for requirement in found.requires or ():
            of = normalized(re.match(r"[A-Za-z0-9._-]*", requirement)[0])
            if of in base or re.search(r"\bextra\s*==", requirement):
                requires.append(requirement)
        write_stub(directory, name, found.version, requires,
                   found.metadata.get_all("Provides-Extra") or ())


def rank(file_name):
    """uv lists the wheels that fit; the one that fits best has a platform, an ABI, the newest of
    each."""
    python, abi, platform = file_name.removesuffix(".whl").split("-")[-3:]
    glibc = [int(minor) for minor in re.findall(r"manylinux_2_(\d+)_", platform)]
    glibc += [{"1": 5, "2010": 12, "2014": 17}[year]
              for year in re.findall(r"manylinux(1|2010|2014)_", platform)]
    versions = [int(minor or 0) for minor in re.findall(r"(?:cp|py)3(\d*)", python)]
    return (platform != "any", ["none", "abi3"].index(abi) if abi in ("none", "abi3") else 2,
            max(glibc, default=0), max(versions, default=0), file_name)


def wheel_of(package, built):
    if normalized(package["name"]) in built:
        return built[normalized(package["name"])]
    wheels = {}
    for wheel in package.get("wheels", ()):
        place = wheel.get("path") or urlsplit(wheel["url"]).path
        wheels[unquote(place.rpartition("/")[2])] = wheel
    if not wheels:
        fail(3, f"{package['name']} {package['version']} comes as source code only, which would "
                "have to be executed to be built; expected a wheel, or its name in "
                "build_from_source")
    name = max(wheels, key=rank)
    wheel = wheels[name]
    sha256, size = wheel.get("hashes", {}).get("sha256"), wheel.get("size")
    local = local_path(name)
    if local:
        data = local.read_bytes()
        sha256, size = hashlib.sha256(data).hexdigest(), len(data)
    if not sha256:
        fail(3, f"the index gives no SHA-256 for {name}")
    return {"name": normalized(package["name"]), "version": package["version"], "wheel": name,
            "sha256": sha256, "bytes": size or size_of(name, wheel["url"])}


def check_built(wheel):
    """Its file's name is right; what it holds is another matter, of which uv takes no notice."""
    try:
        with zipfile.ZipFile(f"built/{wheel['wheel']}") as archive:
            place = next(name for name in archive.namelist()
                         if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
            name = BytesParser().parsebytes(archive.read(place))["Name"] or ""
    except (zipfile.BadZipFile, StopIteration, NotImplementedError) as error:
        fail(3, f"{wheel['wheel']}, which was built from source, is no wheel: {error!r}")
    if normalized(name) != wheel["name"]:
        fail(3, f"{wheel['wheel']}, which was built from source, holds another package: expected "
                f"{wheel['name']}, found {name!r}")


def size_of(name, url):
    """A plain index (PEP 503) does not tell."""
    context = ssl.create_default_context(cafile=f"{TOOLS}/ca.pem") if url[:5] == "https" else None
    try:
        question = urllib.request.Request(url, method="HEAD")
        with urllib.request.urlopen(question, timeout=60, context=context) as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, TypeError, ValueError) as error:
        fail(4, f"the size of {name} is not known: {error}")


def local_path(name):
    return next(Path(TOOLS).glob(f"wheels/*/{name}"), None)


def explain(text):
    text = re.sub(r"^error: |^ *× ", "", text)
    text = re.sub(r"^No solution found when resolving dependencies:?\s+(cause: |╰─▶ )", "", text)
    if re.search(r"[Ff]ailed to fetch|error sending request|[Rr]equest failed", text):
        fail(4, text)
    if "no usable wheels" in text or "building from source is disabled" in text:
        fail(3, "a package comes as source code only, which would have to be executed to be "
                f"built; expected a wheel, or its name in build_from_source: {text}")
    if "was not found in the" in text or "not found in the provided package locations" in text:
        fail(3, f"a package does not exist: {text}")
    fail(3, f"the requirements cannot be satisfied together: {text}")


def fail(code, text):
    """3: the requirements are wrong. 4: the index cannot be reached."""
    print(text, file=sys.stderr)
    sys.exit(code)


def run_uv(request, work):
    Path("requirements.in").write_text("".join(f"{r}\n" for r in request["requirements"]))
    Path("constraints.txt").write_text(
        "".join(f"{name}=={version}\n" for name, version in request["base"].items())
        + "".join(f"{wheel['name']}=={wheel['version']}\n" for wheel in request["built"]))
    (work / "built").mkdir(exist_ok=True)
    links = [work / "stubs", work / "built", *sorted(Path(TOOLS).glob("wheels/*"))]
    index = ["--default-index", request["index_url"]] if request["index_url"] else ["--no-index"]
    command = [f"{TOOLS}/uv", "pip", "compile", "requirements.in", "--constraints",
               "constraints.txt", "--no-build", "--format", "pylock.toml", "--no-header",
               "--no-annotate", "--python", "/usr/bin/python3", "--no-sources", "--no-progress",
               "--no-python-downloads", "--no-config", "--color", "never", "--quiet",
               "--output-file", "pylock.toml", *index]
    for link in links:
        command += ["--find-links", str(link)]
    environment = dict(os.environ, UV_CACHE_DIR=str(work / "cache"), UV_NO_PROGRESS="1",
                       UV_HTTP_TIMEOUT="30", UV_HTTP_RETRIES="2")
    if request["index_url"].startswith("https://"):
        environment |= {"SSL_CERT_FILE": f"{TOOLS}/ca.pem", "UV_SYSTEM_CERTS": "1"}
    ran = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if ran.returncode != 0:
        explain(ran.stderr.decode("utf-8", "replace").strip())


def main():
    for name in ("no_proxy", "NO_PROXY"):  # the index may be called localhost by its operator
        os.environ.pop(name, None)
    request = json.loads(Path("request.json").read_text())
    work = Path.cwd()
    base = request["base"]
    for wheel in request["built"]:
        check_built(wheel)
    write_stubs(work / "stubs", base, sys.path[-1])
    run_uv(request, work)
    with open("pylock.toml", "rb") as file:
        lock = tomllib.load(file)
    built = {wheel["name"]: wheel for wheel in request["built"]}
    used, wheels = {}, []
    for package in lock.get("packages", ()):
        name = normalized(package["name"])
        if base.get(name) == package["version"]:
            used[name] = package["version"]
        else:
            wheels.append(wheel_of(package, built))
    bcai.output(base=used, packages=sorted(wheels, key=lambda one: one["name"]))


main()
