"""A server of Azure's blobs (Azurite, which Microsoft makes for tests) on loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.fetched import NotHere, fetch_once
from tests.s3 import free_port, is_listening

VERSION = "3.35.0"
ACCOUNT = "devstoreaccount1"  # and its key: Azurite knows no other
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, slots=True)
class AzureServer:
    """A server that is running."""

    port: int

    def environment(self) -> dict[str, str]:
        """What the default credential chain finds."""
        place = {"AZURITE_BLOB_STORAGE_URL": f"http://127.0.0.1:{self.port}", "AZURE_STORAGE_USE_EMULATOR": "true"}
        return place | {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}

    def make_container(self, name: str) -> None:
        """Make a container, with a request that is signed as Azure's reference says."""
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        signed = [f"{key}:{value}" for key, value in headers.items()]
        text = "\n".join(["PUT", *[""] * 11, *signed, f"/{ACCOUNT}/{ACCOUNT}/{name}", "restype:container"])
        signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)).decode()
        headers |= {"Authorization": f"SharedKey {ACCOUNT}:{signature}", "Content-Length": "0"}
        url = f"http://127.0.0.1:{self.port}/{ACCOUNT}/{name}?restype=container"
        with urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers), timeout=60) as answer:
            assert answer.status == 201


@contextmanager
def azure_server(folder: Path) -> Iterator[AzureServer]:
    """Start a server whose blobs lie in a folder; it ends with the block."""
    port = free_port()
    options = {"--location": str(folder), "--blobHost": "127.0.0.1", "--blobPort": str(port)}
    command = ["node", str(_find_azurite()), "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    words = [word for option in options.items() for word in option]
    with subprocess.Popen([*command, *words], stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + 120
            while not is_listening(port):
                assert process.poll() is None, "Azurite ended before it answered"
                assert time.monotonic() < until, "Azurite does not answer"
                time.sleep(0.05)
            yield AzureServer(port)
        finally:
            process.kill()


def _find_azurite() -> Path:
    command = ["npm", "install", "--prefix", "{folder}", "--no-audit", "--no-fund", f"azurite@{VERSION}"]
    try:
        fetched = fetch_once(f"azurite-{VERSION}", ("node", "npm"), command, {})
    except NotHere as error:
        pytest.skip(f"the server of Azure's blobs (Azurite) cannot be had: {error}")
    return fetched / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
