"""config.json, from which timm builds an exported student: written, and compared before reading.

The file decides which network timm makes and where its weights are. timm reads a file by somebody
else only where this project would have written the same.
"""

import tempfile
from pathlib import Path
from typing import Any

from timm.models._hub import save_config_for_hf
from torch import nn

from search.errors import ArtifactError
from search.evaluation.artifact import Provenance
from search.files.reading import DamagedFile, read_json

TIMM_CONFIG = "config.json"


def write_config(folder: Path, network: nn.Module, provenance: Provenance) -> None:
    """Write config.json as timm does, with this data's classes and preprocessing."""
    data = provenance.data
    shape = (data.channels, data.image_size, data.image_size)
    # timm would name its own weights for the model as the source of these weights.
    origin: dict[str, object] = {"tag": "retort"}
    if not provenance.params.get("student.timm.pretrained"):
        origin["license"] = None
    config: dict[str, object] = {"label_names": list(data.classes), "pretrained_cfg": origin}
    if not (provenance.cuts or provenance.is_timms_own):
        # The weights would fit timm's network, which computes something else with them.
        # timm refuses this name.
        model = provenance.params["student.timm.model"]
        config["architecture"] = f"{model}_with_another_stem".replace(".", "_")
    save_config_for_hf(
        network,
        str(folder / TIMM_CONFIG),
        model_config=config,
        data_config={
            "input_size": shape,
            "mean": data.mean,
            "std": data.std,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "center",
        },
    )


def strange_keys(folder: Path, network: nn.Module, provenance: Provenance) -> list[str]:
    """Return the keys of `folder`'s config.json that this project would write differently.

    A missing key does not count: another release of timm writes fewer.

    Args:
        folder: the export.
        network: that its weights were loaded into.
        provenance: the record in its recipe.json.

    Raises:
        ArtifactError: it is missing or no JSON.
    """
    with tempfile.TemporaryDirectory() as scratch:
        write_config(Path(scratch), network, provenance)
        own = read_json(Path(scratch) / TIMM_CONFIG)
    try:
        return _differing(read_json(folder / TIMM_CONFIG), own, "")
    except (OSError, DamagedFile) as error:
        raise ArtifactError(f"{folder / TIMM_CONFIG} can't be read: {error}") from error


def _differing(said: Any, own: Any, place: str) -> list[str]:
    if not (isinstance(said, dict) and isinstance(own, dict)):
        return [] if said == own else [place or "its whole"]
    found: list[str] = []
    for key in sorted(said):
        inner = f"{place}.{key}" if place else key
        found += _differing(said[key], own[key], inner) if key in own else [inner]
    return found
