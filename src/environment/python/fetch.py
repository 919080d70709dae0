# SPDX-License-Identifier: Apache-2.0
"""Runs in a sandbox: fetches wheels by name from an index into outputs/. Reads request.json:
{"index_url", "first", "total", "wheels": [{"name", "wheel", "sha256", "bytes"}]}. Ends as
package_index does."""
import json
from pathlib import Path

import bcai
from package_index import PackageIndex


def main():
    request = json.loads(Path("request.json").read_text())
    index = PackageIndex(request["index_url"])
    for i, wheel in enumerate(request["wheels"], request["first"]):
        bcai.progress(None, f"downloading {i} of {request['total']}")
        index.fetch(wheel["name"], wheel["wheel"], wheel["sha256"], wheel["bytes"], wheel["bytes"])


main()
