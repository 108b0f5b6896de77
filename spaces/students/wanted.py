"""Selection of timm models by a study: names, globs, and filters by family and size."""

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import timm

from spaces.names import suggestion
from spaces.quantity import parse_count
from spaces.students.sizes import family_of, macs_of, parameters_of

_KEYS = ("glob", "family", "max_params", "max_macs")


def named_models(wanted: object, *, pretrained: bool = False) -> object:
    """Replace each glob and filter in a study's models by the names that it matches.

    Args:
        wanted: a name, a glob (`mobilenetv3_*`), a filter (`{glob: …, family: …, max_params: 5M,
            max_macs: 300M}`), or a list of them. The limits apply to the model with timm's default
            input size and number of classes. The study's budget limits the student's own cost.
        pretrained: whether globs and filters match only models with weights in timm.

    Returns:
        The unchanged argument if it contains only names. Otherwise a list, with the sorted matches
        in place of each glob or filter, and each name once.

    Raises:
        ValueError: a glob or a filter is malformed, or matches no model. The message suggests a
            similar model.
    """
    items = wanted if isinstance(wanted, list | tuple) else [wanted]
    if all(isinstance(item, str) and not _is_glob(item) for item in items):
        return wanted
    names: list[object] = []
    for item in items:
        if isinstance(item, Mapping):
            found: Iterable[object] = _Filter.read(item).models(pretrained=pretrained)
        elif isinstance(item, str) and _is_glob(item):
            found = _Filter(glob=(item,)).models(pretrained=pretrained)
        else:
            found = [item]
        names += [name for name in found if name not in names]
    return names


def near_model(name: str) -> str:
    """Return text such as `; did you mean 'resnet18'?`; empty if no model has a similar name."""
    return suggestion(name, timm.list_models())


@dataclass(frozen=True)
class _Filter:
    """A filter of a study file; a model must satisfy all conditions."""

    glob: tuple[str, ...] = ("*",)
    family: tuple[str, ...] = ()
    max_params: int | None = None
    max_macs: int | None = None

    @classmethod
    def read(cls, given: Mapping[object, object]) -> "_Filter":
        if not given or (unknown := sorted(map(str, given.keys() - {*_KEYS}))):
            raise ValueError(
                "must be the name of a timm model, a glob, or a filter with the keys "
                f"{', '.join(_KEYS)}, but got {unknown if given else given}"
            )
        limits = {
            key: parse_count(given[key]) for key in ("max_params", "max_macs") if key in given
        }
        family = _texts(given["family"], "family") if "family" in given else ()
        for name in family:
            _check_family(name)
        return cls(_texts(given.get("glob", "*"), "glob"), family, **limits)

    def models(self, *, pretrained: bool) -> list[str]:
        """Return the names of the models that satisfy all conditions, sorted.

        Raises:
            ValueError: there are none. The message names the condition that excluded the last ones.
        """
        matching = [name for name in timm.list_models() if any(map(_matcher(name), self.glob))]
        if not matching:
            hint = near_model(self.glob[0].strip("*?_."))
            raise ValueError(
                f"must match a timm model, but {self._shown('glob')} matches none{hint}"
            )
        for part, passes in self._parts(pretrained=pretrained):
            before, matching = matching, [name for name in matching if passes(name)]
            if not matching:
                raise ValueError(
                    f"must match a timm model, but none of the {len(before)} models that match the "
                    f"earlier conditions has {part}{self._smallest(before, part)}"
                )
        return sorted(matching)

    def _parts(self, *, pretrained: bool) -> Sequence[tuple[str, Callable[[str], bool]]]:
        """Return the conditions except the glob, with names for messages; the fastest first."""
        parts: list[tuple[str, Callable[[str], bool]]] = []
        if self.family:
            parts.append((self._shown("family"), lambda name: family_of(name) in self.family))
        if pretrained:
            parts.append(("pretrained weights", timm.is_model_pretrained))
        if (most := self.max_params) is not None:
            parts.append((self._shown("max_params"), lambda name: parameters_of(name) <= most))
        if (limit := self.max_macs) is not None:
            parts.append((self._shown("max_macs"), lambda name: macs_of(name) <= limit))
        return parts

    def _shown(self, key: str) -> str:
        value = getattr(self, key)
        return f"{key} {', '.join(value) if isinstance(value, tuple) else f'{value:,}'}"

    def _smallest(self, names: Sequence[str], part: str) -> str:
        """Return text with the smallest model and its size; empty if `part` is not a size limit."""
        if not part.startswith("max_"):
            return ""
        size = parameters_of if part.startswith("max_params") else macs_of
        name = min(names, key=size)
        return f": the smallest, {name}, has {size(name):,}"


def _is_glob(text: str) -> bool:
    return any(character in text for character in "*?[")


def _matcher(name: str) -> Callable[[str], bool]:
    return lambda glob: fnmatch.fnmatchcase(name, glob)


def _texts(given: object, key: str) -> tuple[str, ...]:
    texts = tuple(given) if isinstance(given, list | tuple) else (given,)
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f"{key} of a filter must be a text or a list of texts, but got {given!r}")
    return texts


def _check_family(name: str) -> None:
    known = timm.list_modules()
    if name not in known:
        hint = suggestion(name, known) or f"; timm has {', '.join(known)}"
        raise ValueError(f"family must be a module of timm.models, but got {name!r}{hint}")
