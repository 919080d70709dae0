# SPDX-License-Identifier: Apache-2.0
"""The package's version: the installed distribution's, or that of a source tree."""

from importlib import metadata

try:
    __version__ = metadata.version("bcai")
except metadata.PackageNotFoundError:
    __version__ = "0.1.0"
