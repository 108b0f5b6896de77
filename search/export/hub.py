"""Upload of an exported folder to the Hugging Face hub, with the hub's own library."""

from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, HTTPError
from huggingface_hub.utils import validate_repo_id

from search.errors import BadInput, RetortError, shortened


def check_hub_name(name: str) -> None:
    """Raise BadInput unless `name` is a `user/name` that the hub accepts."""
    try:
        validate_repo_id(name)
        if "/" not in name:
            raise HFValidationError("the user is missing")
    except HFValidationError as error:
        raise BadInput(f"--hub must be user/name, but got {name!r}: {shortened(error)}") from error


def push(folder: Path, name: str) -> str:
    """Create the model `user/name` if it is missing, upload `folder`, and return its URL.

    The hub's library reads the token that `hf auth login` stored, or HF_TOKEN.

    Raises:
        RetortError: the hub does not answer, or refuses the upload.
    """
    api = HfApi()
    try:
        api.create_repo(name, repo_type="model", exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="retort export")
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        raise RetortError(
            f"{folder} is written, but could not be pushed to {name}: {shortened(error)}. Check "
            "the network and `hf auth login`, then push it with "
            f"`hf upload {name} {folder}`"
        ) from error
    return f"{api.endpoint}/{name}"
