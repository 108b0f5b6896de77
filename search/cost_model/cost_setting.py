"""What costs hold for: the machine that serves, its runtime, and the code that makes files."""

import hashlib
import json

from search.code import computed_by
from search.config.student_spec import StudentRequirements
from search.records import CostSetting
from search.targets.agent_client import describe_agent
from spaces.processor import processor_name

# Our own files, besides those of spaces/, that decide how many bytes a student has.
_SIZES = (
    "cost_model/dry_run.py",
    "targets/float_student.py",
    "targets/onnx_decomposition.py",
    "targets/onnx_export.py",
    "targets/onnx_runtime.py",
)


def setting_of(requirements: StudentRequirements, *, processor: str | None = None) -> CostSetting:
    """What the costs of a brief's students hold for; of this machine, unless another is named.

    Where the target has an agent, they hold for whatever has its processor and its runtime; in any
    case for students that were made by the same code.

    Raises:
        TargetError: the agent does not answer.
    """
    target, here = requirements.target, requirements.runtime.describe()
    agent = describe_agent(target.agent, target.runtime) if target.agent else None
    made = json.dumps([here, computed_by(*_SIZES)], sort_keys=True)
    digest = hashlib.sha256(made.encode()).hexdigest()[:12]
    return CostSetting(
        channels=requirements.channels,
        image_size=requirements.image_size,
        classes=requirements.classes,
        processor=agent.processor if agent else processor or processor_name(),
        device=target.device,
        threads=target.threads,
        runtime=f"{agent.runtime if agent else here}, of files by {digest}",
    )
