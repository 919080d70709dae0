# SPDX-License-Identifier: Apache-2.0
"""Runs in a sandbox: fetches wheels by name from an index (PEP 503 and 691) into outputs/. Reads
request.json: {"index_url", "first", "total", "wheels": [{"name", "wheel", "sha256", "bytes"}]}.
Ends with 3 when what was found is wrong, with 4 when the index cannot be reached."""
import hashlib
import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import bcai

PAGE_BYTES_MAX = 64 << 20
ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.1"
LINK = re.compile(r"""<a\b[^>]*?\bhref\s*=\s*["']([^"']*)["']""", re.IGNORECASE)


def fail(code, text):
    print(text, file=sys.stderr)
    sys.exit(code)


def open_url(opener, url, headers=None):
    try:
        return opener.open(urllib.request.Request(url, headers=headers or {}), timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        fail(4, f"{url}: {error}")
    except OSError as error:
        fail(4, f"{url}: {error}")


def links_of(page, content_type):
    if "json" in content_type:
        return [file["url"] for file in json.loads(page)["files"]]
    return [unescape(link) for link in LINK.findall(page.decode("utf-8", "replace"))]


def find(opener, index_url, wheel):
    url = f"{index_url.rstrip('/')}/{wheel['name']}/"
    answer = open_url(opener, url, {"Accept": ACCEPT})
    if answer is None:
        fail(3, f"this node's index has no package {wheel['name']}")
    with answer:
        page = answer.read(PAGE_BYTES_MAX)
        content_type = answer.headers.get("Content-Type", "")
        place = answer.url
    for link in links_of(page, content_type):
        address = urldefrag(urljoin(place, link)).url
        if unquote(urlsplit(address).path.rpartition("/")[2]) == wheel["wheel"]:
            return address
    fail(3, f"this node's index has no file {wheel['wheel']}")


def fetch(opener, index_url, wheel):
    url = find(opener, index_url, wheel)
    answer = open_url(opener, url)
    if answer is None:
        fail(3, f"{url} is not there, though the index names it")
    digest, size = hashlib.sha256(), 0
    try:
        with answer, open(f"outputs/{wheel['wheel']}", "wb") as file:
            while data := answer.read(1 << 20):
                size += len(data)
                digest.update(data)
                file.write(data)
                if size > wheel["bytes"]:
                    break
    except OSError as error:
        fail(4, f"{url}: {error}")
    if (size, digest.hexdigest()) != (wheel["bytes"], wheel["sha256"]):
        fail(3, f"{wheel['wheel']} has the wrong hash: expected {wheel['bytes']} bytes of SHA-256 "
                f"{wheel['sha256']}, found {size} of {digest.hexdigest()}")


def main():
    for name in ("no_proxy", "NO_PROXY"):  # the index may be called localhost by its operator
        os.environ.pop(name, None)
    request = json.loads(Path("request.json").read_text())
    handlers = []
    if request["index_url"].startswith("https://"):
        context = ssl.create_default_context(cafile="/opt/environment/ca.pem")
        handlers.append(urllib.request.HTTPSHandler(context=context))
    opener = urllib.request.build_opener(*handlers)
    for i, wheel in enumerate(request["wheels"], request["first"]):
        bcai.progress(None, f"downloading {i} of {request['total']}")
        fetch(opener, request["index_url"], wheel)


main()
