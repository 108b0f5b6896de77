"""A current folder that holds modules of our names, and of those we use: ours run nevertheless."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper, save

from dashboard.launch import server_command
from search.targets.ssh import ask_over_ssh
from tests.faults.conftest import ROOT, shadow

RETORT = Path(sys.executable).with_name("retort")


@pytest.fixture
def shadowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    folder = tmp_path / "here"
    shadow(folder)
    monkeypatch.chdir(folder)
    return folder


def test_fault_33_commands_run_our_own_modules(shadowed: Path) -> None:
    done = subprocess.run([RETORT, "settings", "run"], capture_output=True, text=True, check=True)
    assert "run.parallel" in done.stdout
    assert not (shadowed / "ran").exists()


def test_fault_33_the_dashboards_server_runs_our_own_modules(shadowed: Path) -> None:
    served = server_command(host="127.0.0.1", port=0, open_browser=False)
    interpreter = served[: served.index("-m")]
    code = "import dashboard, search, spaces, tempfile; print(dashboard.__file__)"
    command = [*interpreter, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).parent == ROOT / "dashboard"
    assert not (shadowed / "ran").exists()


def test_fault_33_the_agent_runs_its_own_modules_where_ssh_lands(
    shadowed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ssh` is a script that runs the command in this folder, as it would in a home folder."""
    client = tmp_path / "bin" / "ssh"
    client.parent.mkdir()
    client.write_text('#!/bin/sh\nfor last; do :; done\nexec /bin/sh -c "$last"\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:{os.environ['PATH']}")
    profile = ask_over_ssh("ssh://board", _model(tmp_path), threads=1, python=sys.executable)
    assert profile.latency.median_ms > 0
    assert not (shadowed / "ran").exists()


def _model(folder: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["input"], ["logits"])],
        "tiny",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 64])],
    )
    path = folder / "model.onnx"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path
