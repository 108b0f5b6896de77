"""Pushing to the hub, up to the network: a server on this machine stands where the hub does."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from search.errors import BadInput, RetortError
from search.export.hub import check_hub_name, push
from tests.messages import naming


class _Hub(BaseHTTPRequestHandler):
    """Takes a new model and one commit of small files, and notes them."""

    created: dict[str, object]
    committed: dict[str, bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        place = f"http://{self.headers['Host']}/ada/stripes"
        if self.path == "/api/repos/create":
            type(self).created = json.loads(body)
            self._answer({"url": place})
        elif "/preupload/" in self.path:
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(body)["files"]
            ]
            self._answer({"files": files})
        elif "/commit/" in self.path:
            lines = [json.loads(line)["value"] for line in body.splitlines()]
            type(self).committed = {
                line["path"]: base64.b64decode(line["content"]) for line in lines if "path" in line
            }
            self._answer({"commitUrl": f"{place}/commit/1", "commitOid": "1", "success": True})
        else:  # the card's head is checked
            self._answer({"errors": [], "warnings": []})

    def do_GET(self) -> None:
        self._answer({"id": "ada/stripes", "sha": "0"})

    def _answer(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Hub]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    yield _Hub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "README.md").write_text("---\ntags: [onnx]\n---\n")
    (folder / "model.onnx").write_bytes(bytes(range(256)))
    return folder


def test_every_file_of_the_folder_is_pushed(hub: type[_Hub], folder: Path) -> None:
    address = push(folder, "ada/stripes")
    assert address.endswith("/ada/stripes")
    assert hub.created["name"] == "stripes"
    assert hub.created["organization"] == "ada"
    assert hub.committed == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_hub_that_does_not_answer_is_told_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RetortError, match=naming(f"hf upload ada/stripes {folder}")):
        push(folder, "ada/stripes")
    assert (folder / "model.onnx").is_file()


@pytest.mark.parametrize("name", ["stripes", "ada/../stripes", "a/b/c", ""])
def test_a_name_that_the_hub_would_refuse_is_refused_before_anything_is_written(name: str) -> None:
    with pytest.raises(BadInput, match=naming("--hub", "user/name", repr(name))):
        check_hub_name(name)
