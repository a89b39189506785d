"""A hub on loopback, speaking as much of the Hugging Face protocol as a download needs, faults included.

    with Hub() as hub:
        hub.put("a/b", {"config.json": b"..."}, gated="all")    hub.seen -> [(method, path, Range), ...]

Tree, info, small files (ETag: git blob hash) and LFS files (SHA-256 in the tree; a redirect, as to the real
hub's CDN, with X-Linked-Etag; Range requests). The server runs in threads of the test, the client in a
process of its own with ``hub.environment(home)``: it reads its environment when it is imported.
"""

import contextlib
import hashlib
import http.server
import json
import os
import re
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"
SCRIPTS = Path(__file__).parents[2] / "scripts"
RESOLVE = re.compile(r"/(?:datasets/)?([^/]+/[^/]+)/resolve/([0-9a-f]+)/(.+)")
API = re.compile(r"/api/(?:models|datasets)/([^/]+/[^/]+)/(tree|revision)/([0-9a-f]+)/?(.*)")
LFS_FROM = 50_000  # bytes; below it git keeps a file itself


@dataclass
class Stored:
    """A repository and what is wrong with it.

    gated: on its files ("files") or all of it ("all"). breaks: {file: byte counts after which one answer each
    breaks off}, -1 for all further answers before their first byte. stalls: {file: an event that the answer
    waits for at two thirds}. wrong: files whose bytes are not those of the tree.
    """

    files: dict[str, bytes]
    gated: str = ""
    breaks: dict[str, list[int]] = field(default_factory=dict)
    stalls: dict[str, threading.Event] = field(default_factory=dict)
    wrong: tuple = ()
    sizes: dict[str, int] = field(default_factory=dict)  # said in the tree instead of the real ones
    broken: int = 0  # answers of status 503 that come first


class Hub:
    def __init__(self):
        self.stored: dict[str, Stored] = {}
        self.seen: list[tuple] = []
        self.revision = REVISION

    def put(self, name: str, files, **faults):
        """``files``: {path: bytes}, or a folder whose files are served."""
        if not isinstance(files, dict):
            files = {path.name: path.read_bytes() for path in Path(files).iterdir() if path.is_file()}
        self.stored[name] = Stored(dict(files), **faults)

    def ranges(self, ending: str) -> list:
        """The Range header of every GET for file bytes whose path ends so."""
        return [
            r
            for method, path, r in self.seen
            if method == "GET" and path.endswith(ending) and "/cdn/" in path
        ]

    def environment(self, home, **more) -> dict:
        """What a client's process needs: the endpoint, a cache of its own, and no proxy between."""
        inherited = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith("HF_") and not k.lower().endswith("_proxy")
        }
        ours = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "PYTHONPATH": str(SCRIPTS),
            "OMP_NUM_THREADS": "1",
        }
        return inherited | ours | {"HF_HUB_DISABLE_TELEMETRY": "1"} | more

    def __enter__(self):
        handler = type("Handler", (Handler,), {"hub": self})
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.cdn = f"http://localhost:{self.server.server_port}"  # another host, as the real one is
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        for repository in self.stored.values():
            for event in repository.stalls.values():
                event.set()
        self.server.shutdown()
        self.server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        path = self.path.split("?")[0]
        self.hub.seen.append((self.command, path, self.headers.get("Range")))
        if result := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self._bytes(self.hub.stored[result[1]], result[2])
        elif result := API.fullmatch(path):
            self._api(*result.groups())
        elif result := RESOLVE.fullmatch(path):
            self._resolve(*result.groups())
        else:
            self._send(b"", {"X-Error-Code": "EntryNotFound"}, 404)

    do_HEAD = do_GET

    def _refused(self, name, revision, files: bool) -> Stored | None:
        """The repository, or None once an error was answered."""
        repository = self.hub.stored.get(name)
        if repository is None:  # the real hub does not tell strangers what is private
            code = 404 if name.endswith("404") else 401
            headers = {"X-Error-Message": "Invalid username or password."}
            self._send(b"", headers | ({"X-Error-Code": "RepoNotFound"} if code == 404 else {}), code)
        elif revision != self.hub.revision:
            self._send(b"", {"X-Error-Code": "RevisionNotFound"}, 404)
        elif repository.gated == "all" or (files and repository.gated):
            self._send(b"", {"X-Error-Code": "GatedRepo"}, 401 if repository.gated == "all" else 403)
        else:
            return repository
        return None

    def _api(self, name, what, revision, under):
        if not (repository := self._refused(name, revision, files=False)):
            return
        if what == "revision":
            siblings = [{"rfilename": file} for file in repository.files]
            self._send(json.dumps({"id": name, "sha": revision, "siblings": siblings}).encode())
            return
        files = [file for file in repository.files if file.startswith(under)]
        self._send(json.dumps([_entry(repository, file) for file in files]).encode())

    def _resolve(self, name, revision, file):
        if not (repository := self._refused(name, revision, files=True)):
            return
        if file not in repository.files:
            self._send(b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": revision}, 404)
            return
        content, headers = repository.files[file], {"X-Repo-Commit": revision, "Accept-Ranges": "bytes"}
        if len(content) < LFS_FROM:
            body = content[::-1] if file in repository.wrong else content
            self._send(body, headers | {"ETag": f'"{git_hash(content)}"'})
            return
        linked = {"X-Linked-Etag": f'"{sha(content)}"', "X-Linked-Size": len(content)}
        self._send(b"", headers | linked | {"Location": f"{self.hub.cdn}/cdn/{name}/{file}"}, 302)

    def _bytes(self, repository: Stored, file: str):
        if repository.broken:
            repository.broken -= 1
            self._send(b"", {}, 503)
            return
        content, start = repository.files[file], 0
        content = content[::-1] if file in repository.wrong else content
        headers = {"ETag": f'"{sha(content)}"', "Accept-Ranges": "bytes"}
        if given := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or ""):
            start = int(given[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        cut = self._cut(repository, file)
        self._head(headers | {"Content-Length": len(content) - start}, 206 if start else 200)
        if self.command == "HEAD":
            return
        if cut is not None:
            self.wfile.write(content[start : start + cut])
            self._hang_up()
        elif file in repository.stalls and not repository.stalls[file].is_set():
            self.wfile.write(content[start : start + (len(content) - start) * 2 // 3])
            self.wfile.flush()
            repository.stalls[file].wait(60)
            self._hang_up()
        else:
            self.wfile.write(content[start:])

    @staticmethod
    def _cut(repository: Stored, file: str) -> int | None:
        cuts = repository.breaks.get(file, [])
        if cuts == [-1]:
            return 0
        return cuts.pop(0) if cuts else None

    def _hang_up(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def _head(self, headers: dict, status: int):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def _send(self, body: bytes, headers: dict | None = None, status: int = 200):
        self._head({**(headers or {}), "Content-Length": len(body)}, status)
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass

    def handle(self):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the client was killed
            super().handle()


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(repository: Stored, file: str) -> dict:
    content = repository.files[file]
    entry = {"type": "file", "path": file, "oid": git_hash(content)}
    entry["size"] = repository.sizes.get(file, len(content))
    if len(content) >= LFS_FROM:
        pointer = b"version https://git-lfs" + sha(content).encode()
        entry |= {"oid": git_hash(pointer)}
        entry["lfs"] = {"oid": sha(content), "size": entry["size"], "pointerSize": len(pointer)}
    return entry
