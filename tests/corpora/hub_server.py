"""A hub on loopback, speaking as much of the Hugging Face protocol as a download needs.

    python hub_server.py            serve data set "a/b" at REVISION, load two of its splits, print them
    python hub_server.py cached     the same without a server (with HF_HUB_OFFLINE=1: from the cache)
    python hub_server.py model FOLDER TARGET REVISION    serve a model's folder, prepare it as a hub model

Run in a process of its own: the client reads its environment when it is imported.
"""

import hashlib
import http.server
import json
import os
import sys
import threading
from pathlib import Path

REVISION = "0123456789abcdef0123456789abcdef01234567"
ROWS = [{"q": f"question {i}?", "a": f"answer {i}"} for i in range(20)]
CARD = "---\nconfigs:\n- config_name: main\n  data_files:\n  - {split: train, path: main/train.jsonl}\n---\n"
FILES = {
    "README.md": CARD.encode(),
    "main/train.jsonl": b"".join(json.dumps(row).encode() + b"\n" for row in ROWS),
}


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers for the revision, the tree and the files of one data set; 404 for everything else."""

    def do_GET(self):
        path = self.path.split("?")[0]
        if path in (f"/api/{kind}/a/b/revision/{REVISION}" for kind in ("datasets", "models")):
            siblings = [{"rfilename": name} for name in FILES]
            self._send(json.dumps({"id": "a/b", "sha": REVISION, "siblings": siblings}).encode())
        elif path.startswith(tuple(f"/api/{kind}/a/b/tree/{REVISION}" for kind in ("datasets", "models"))):
            under = path.split(REVISION)[1].strip("/")
            self._send(json.dumps([_entry(name) for name in FILES if name.startswith(under)]).encode())
        elif (name := path.partition(f"/resolve/{REVISION}/")[2]) in FILES:
            self._send(FILES[name], {"ETag": f'"{_oid(name)}"', "X-Repo-Commit": REVISION})
        else:
            self._send(b"", {"X-Error-Code": "EntryNotFound"}, 404)

    do_HEAD = do_GET

    def _send(self, body: bytes, headers: dict | None = None, status: int = 200):
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def _oid(name: str) -> str:
    return hashlib.sha1(FILES[name]).hexdigest()


def _entry(name: str) -> dict:
    return {"type": "file", "oid": _oid(name), "size": len(FILES[name]), "path": name}


def serve():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ |= {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_DISABLE_TELEMETRY": "1"}


def prepare(folder, target, revision):
    """Serve the files of ``folder`` and fill ``target`` from them, as rule prepare_model does."""
    FILES.clear()
    FILES.update({path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()})
    serve()
    import prepare_model

    from implicit_sparsity.errors import InputError

    try:
        prepare_model.prepare_model(target, "m", {"source": "hub", "repo": "a/b", "revision": revision})
    except InputError as error:
        sys.exit(f"error: {error}")


def main():
    if "model" in sys.argv:
        prepare(*sys.argv[2:])
        return
    if "cached" not in sys.argv:
        serve()
    from implicit_sparsity.corpora.sources import hub
    from implicit_sparsity.errors import InputError

    def show(split):
        fields = {"prompt": "q", "completion": "a"}
        try:
            print(json.dumps(list(hub.documents(5, 0, "a/b", REVISION, split, fields, "MIT", config="main"))))
        except InputError as error:
            print(error)

    show("train")
    show("test")


if __name__ == "__main__":
    main()
