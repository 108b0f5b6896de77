"""The setting that costs hold for: the machine that serves, its runtime, and the file makers."""

from search.config.student_spec import StudentRequirements
from search.cost_model import dry_run
from search.records import CostSetting
from search.targets.agent_client import describe_agent
from search.versions import FILE_LIBRARIES, Versions, file_stages
from spaces.processor import processor_name


def setting_of(requirements: StudentRequirements, *, processor: str | None = None) -> CostSetting:
    """Return the setting that the students' costs hold for: this machine, or the named target.

    Where the target has an agent, the costs hold for every machine with its processor and runtime.
    They always hold for files made by stages and libraries of the same versions. A shape states the
    versions of its own methods.

    Raises:
        TargetError: the agent does not answer.
    """
    target, here = requirements.target, requirements.runtime.describe()
    agent = describe_agent(target.agent, target.runtime) if target.agent else None
    stages = file_stages(requirements.runtime) | {"dry_run": dry_run.VERSION}
    # This machine's runtime makes the files, whichever machine serves them.
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
