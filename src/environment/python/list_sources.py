# SPDX-License-Identifier: Apache-2.0
"""Runs in a sandbox: which source distributions (PEP 625) of a package an index has. Reads
request.json: {"index_url", "name"}. Ends as package_index does."""
import json
from pathlib import Path

import bcai
from package_index import PackageIndex


def main():
    request = json.loads(Path("request.json").read_text())
    files = PackageIndex(request["index_url"]).files(request["name"])
    bcai.output(sources=[{"file": file["name"], "sha256": file["sha256"], "yanked": file["yanked"],
                          "requires_python": file["requires_python"]}
                         for file in files if file["name"].endswith(".tar.gz")])


main()
