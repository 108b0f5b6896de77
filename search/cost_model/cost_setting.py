"""What costs hold for: the machine that serves, its runtime, and the code that makes files."""

import hashlib
import json
from importlib.metadata import version

from search.code import computed_by
from search.config.student_spec import Brief
from search.records import Setting
from search.targets.agent_client import describe_agent
from spaces.processor import processor_name

# Our own files, besides those of spaces/, that decide how many bytes a student has.
_SIZES = (
    "cost_model/dry_run.py",
    "evaluation/convert.py",
    "targets/onnx_decomposition.py",
    "targets/onnx_runtime.py",
)


def setting_of(brief: Brief, *, processor: str | None = None) -> Setting:
    """What the costs of a brief's students hold for; of this machine, unless another is named.

    Where the target has an agent, they hold for whatever has its processor and its runtime; in any
    case for students that were made by the same code.

    Raises:
        TargetError: the agent does not answer.
    """
    agent = describe_agent(brief.target.agent) if brief.target.agent else None
    here = f"onnxruntime {version('onnxruntime')}"
    made = json.dumps([here, computed_by(*_SIZES)], sort_keys=True)
    digest = hashlib.sha256(made.encode()).hexdigest()[:12]
    return Setting(
        channels=brief.channels,
        image_size=brief.image_size,
        classes=brief.classes,
        processor=agent.processor if agent else processor or processor_name(),
        device=brief.target.device,
        threads=brief.target.threads,
        runtime=f"{agent.runtime if agent else here}, of files by {digest}",
    )
