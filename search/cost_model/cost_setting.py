"""The setting for which costs are valid: images, the target's processor and runtime, versions."""

from search.config.student_spec import StudentRequirements
from search.cost_model import dry_run
from search.records import CostSetting
from search.targets.agent_client import describe_agent
from search.versions import FILE_LIBRARIES, Versions, file_stages
from spaces.processor import processor_name


def setting_of(requirements: StudentRequirements, *, processor: str | None = None) -> CostSetting:
    """Return the setting for which the students' costs are valid.

    If the target has an agent, the costs are valid for every machine with the agent's processor and
    runtime. They are valid only for files from the same versions of stages and libraries. The
    versions of a recipe's methods are part of its shape, not of this setting.

    Args:
        requirements: the requirements on the students.
        processor: the name of the target's processor; None names this machine's. An agent's
            processor takes precedence.

    Raises:
        TargetError: the agent does not answer.
    """
    target, here = requirements.target, requirements.runtime.describe()
    agent = describe_agent(target.agent, target.runtime) if target.agent else None
    stages = file_stages(requirements.runtime) | {"dry_run": dry_run.VERSION}
    # This machine's runtime makes the files, even if another machine serves them.
    files = Versions(libraries=FILE_LIBRARIES, stages=stages).key(here)[:12]
    return CostSetting(
        channels=requirements.channels,
        image_size=requirements.image_size,
        classes=requirements.classes,
        processor=agent.processor if agent else processor or processor_name(),
        device=target.device,
        threads=target.threads,
        runtime=f"{agent.runtime if agent else here}, files by {files}",
    )
