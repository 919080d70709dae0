# SPDX-License-Identifier: Apache-2.0
"""Builds the virtual machine for aarch64 into build/aarch64, with the libraries it links in a root
of their own there; the system gets a cross compiler and qemu, and nothing of another architecture.
"""

import os
import pathlib
import shutil
import subprocess

import setup

ROOT = setup.ROOT
BUILD = ROOT / "build" / "aarch64"
TARGETS = ["vm_bits"]
TOOLS = ["g++-aarch64-linux-gnu", "qemu-user"]
LIBRARIES = [
    "libboost1.81-dev", "libcurl4-openssl-dev", "libyaml-dev", "libsqlite3-dev", "libsodium-dev",
    "libssl-dev", "libspdlog-dev", "libfmt-dev", "libcli11-dev", "prometheus-cpp-dev",
    "libseccomp-dev",
]


def run(command: list[str | pathlib.Path], **options: object) -> None:
    if subprocess.run(command, **options).returncode != 0:  # type: ignore[call-overload]
        raise SystemExit(f"{' '.join(map(str, command[:3]))} … failed")


def unpack_libraries(root: pathlib.Path) -> None:
    """The packages and what they need, for arm64, by an apt whose state lies in `build/`."""
    state = BUILD / "apt"
    for name in ("lists/partial", "archives/partial"):
        (state / name).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    apt = ["apt-get", "-qq", "-o", "APT::Architecture=arm64", "-o", "APT::Architectures=arm64",
           "-o", f"Dir::State={state}", "-o", f"Dir::State::status={state / 'status'}",
           "-o", f"Dir::Cache={state}", "-o", "APT::Sandbox::User=root",
           "-o", "Debug::NoLocking=true"]
    run([*apt, "update"])
    run([*apt, "install", "--download-only", "--no-install-recommends", "-y", *LIBRARIES],
        stdout=subprocess.DEVNULL)
    root.mkdir(exist_ok=True)
    for package in sorted((state / "archives").glob("*.deb")):
        run(["dpkg-deb", "-x", package, root])
    # Links of a whole system, which point at the host's files here.
    for link in root.rglob("*"):
        if link.is_symlink() and os.readlink(link).startswith("/"):
            target = root / os.readlink(link)[1:]
            link.unlink()
            link.symlink_to(os.path.relpath(target, link.parent))


def build() -> None:
    setup.ensure()
    missing = [name for name in TOOLS if name not in setup.installed_packages()]
    if missing:
        setup.say(f"installing {' '.join(missing)}")
        setup.apt("update")
        setup.apt("install", "-y", *missing)
    root = BUILD / "root"
    unpacked = BUILD / "libraries"  # which of them the root has
    if not unpacked.exists() or unpacked.read_text().split() != LIBRARIES:
        setup.say("fetching the libraries for arm64")
        shutil.rmtree(root, ignore_errors=True)
        unpack_libraries(root)
        unpacked.write_text("\n".join(LIBRARIES))
    libraries = root / "usr/lib/aarch64-linux-gnu"
    environment = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": str(root),
                   "PKG_CONFIG_LIBDIR": f"{libraries}/pkgconfig:{root}/usr/share/pkgconfig"}
    run(["cmake", "--preset", "aarch64"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    run(["cmake", "--build", BUILD, "--target", *TARGETS], cwd=ROOT, env=environment)
