"""config.json, from which timm builds an exported student.

The file decides which network timm builds and from where it loads the weights. So retort compares
the file of a folder with the file that it would write itself, and lets timm read it only if they
agree.
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
    """Write config.json in timm's format, with the data's classes and preprocessing.

    A student that is no timm network has no such file.
    """
    if provenance.timm_model is None:
        return
    data = provenance.data
    shape = (data.channels, data.image_size, data.image_size)
    # Without this, timm states its own pretrained weights as the origin of these weights.
    origin: dict[str, object] = {"tag": "retort"}
    if not provenance.params.get("student.timm.pretrained"):
        origin["license"] = None
    config: dict[str, object] = {"label_names": list(data.classes), "pretrained_cfg": origin}
    if not (provenance.cuts or provenance.is_timms_own):
        # The weights fit timm's network, but it computes something else with them. timm rejects
        # this unknown name, so it can't load them by mistake.
        config["architecture"] = f"{provenance.timm_model}_with_another_stem".replace(".", "_")
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


def differing_keys(folder: Path, network: nn.Module, provenance: Provenance) -> list[str]:
    """Return the keys of `folder`'s config.json that retort would write differently.

    A missing key does not count, since another release of timm may write fewer keys.

    Args:
        folder: the export.
        network: the network with the export's weights.
        provenance: the provenance in its recipe.json.

    Raises:
        ArtifactError: config.json is missing, or is not JSON.
    """
    with tempfile.TemporaryDirectory() as scratch:
        write_config(Path(scratch), network, provenance)
        own = read_json(Path(scratch) / TIMM_CONFIG)
    try:
        return _differing(read_json(folder / TIMM_CONFIG), own, "")
    except (OSError, DamagedFile) as error:
        raise ArtifactError(f"{folder / TIMM_CONFIG} can't be read: {error}") from error


def _differing(stated: Any, own: Any, place: str) -> list[str]:
    if not (isinstance(stated, dict) and isinstance(own, dict)):
        return [] if stated == own else [place or "its whole"]
    found: list[str] = []
    for key in sorted(stated):
        inner = f"{place}.{key}" if place else key
        found += _differing(stated[key], own[key], inner) if key in own else [inner]
    return found
