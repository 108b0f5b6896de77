"""timm's pretrained weights: whether this machine has them, or can download them.

Without a network, Hugging Face's client tries each of several files six times, for a minute and
with a line for each try, even if a file is in its cache. So the cache and the hub are asked first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import timm
from huggingface_hub import constants, get_session, hf_hub_url, try_to_load_from_cache
from timm.models import PretrainedCfg

# timm tries these files, in this order, unless the model names another.
_FILES = ("model.safetensors", "pytorch_model.bin")
_PATIENCE_S = 10.0


class WeightsUnavailable(OSError):
    """The weights are not in the cache, and can't be downloaded."""


def check_weights(model: str) -> None:
    """Check that a timm model's pretrained weights are in the cache, or that the hub answers.

    Raises:
        WeightsUnavailable: neither is so; the message names the model and the reason.
    """
    cfg = timm.get_pretrained_cfg(model)
    if cfg is None or not cfg.hf_hub_id or _is_cached(cfg):
        return
    if constants.HF_HUB_OFFLINE:
        reason = "HF_HUB_OFFLINE forbids to download them"
    else:
        reason = _hub_fault(constants.ENDPOINT)
    if reason:
        raise WeightsUnavailable(
            f"the pretrained weights of {model} are not in {constants.HF_HUB_CACHE}, and {reason}"
        )


@contextmanager
def reading_weights(model: str) -> Iterator[None]:
    """Let timm load a model's pretrained weights in the block; without the hub if it has them.

    Raises:
        WeightsUnavailable: as for `check_weights`.
    """
    check_weights(model)
    cfg, before = timm.get_pretrained_cfg(model), constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or (cfg is not None and _is_cached(cfg))
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _is_cached(cfg: PretrainedCfg) -> bool:
    if not cfg.hf_hub_id:
        return False
    repository, _, revision = cfg.hf_hub_id.partition("@")
    files = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _FILES
    return any(
        isinstance(try_to_load_from_cache(repository, file, revision=revision or None), str)
        for file in files
    )


@cache
def _hub_fault(endpoint: str) -> str:
    """Return why the hub does not answer one short request; empty if it does."""
    url = hf_hub_url("timm/resnet18.a1_in1k", "config.json", endpoint=endpoint)
    try:
        get_session().head(url, timeout=_PATIENCE_S)
    except Exception as error:  # noqa: BLE001  the HTTP library depends on the hub's version
        return f"{endpoint} does not answer ({error or type(error).__name__})"
    return ""
