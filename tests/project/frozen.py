"""What others rely on, written down as text: public names, options of the commands, names of the parameters.

`python -m tests.project.update` writes the files beside this one again, for changes that are meant.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import typer.main

import isthmus
from isthmus.core.config import Config
from isthmus.model.bundle import weights
from tests.project.source import PACKAGE

HERE = Path(__file__).parent
COMMANDS = "isthmus.cli.main"


def public_names() -> Iterator[str]:
    """Each name of `isthmus.__all__` with its signature, and for a class its public methods and properties."""
    for name in sorted(isthmus.__all__):
        value = vars(importlib.import_module(isthmus._MODULE_OF[name]))[name]
        if not inspect.isclass(value):
            yield f"{name}{_signature(value)}"
            continue
        fields = issubclass(value, Config)
        yield f"class {name}{'' if fields or inspect.isabstract(value) else _signature(value)}"
        if fields:
            yield from (f"    {name}: {_short(str(hint))}" for name, hint in value.__annotations__.items())
        yield from (f"    {member}" for member in _members(value))


def _members(kind: type) -> list[str]:
    """Public methods and properties that the package itself gives to a class."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("isthmus."):
            for name, value in vars(base).items():
                if name.startswith("_"):
                    continue
                if isinstance(value, property):
                    found[name] = f"{name}: {inspect.signature(value.fget).return_annotation}" if value.fget else name
                elif isinstance(value, staticmethod | classmethod):
                    found[name] = f"{type(value).__name__} {name}{_signature(value.__func__)}"
                elif inspect.isfunction(value):
                    found[name] = f"{name}{_signature(value)}"
    return sorted(found.values())


def _signature(value: Callable[..., Any]) -> str:
    """A signature without the addresses and module names that differ from run to run or place to place."""
    text = re.sub(r" at 0x[0-9a-f]+", "", str(inspect.signature(value)))
    return _short(re.sub(r"(: |-> )(['\"])(.*?)\2(?=[,)= ]|$)", r"\1\3", text))


def _short(text: str) -> str:
    """`torch.Tensor` as `Tensor`."""
    return re.sub(r"\b(?:[A-Za-z_]\w*\.)+([A-Za-z_]\w*)", r"\1", text)


def commands() -> Iterator[tuple[str, list[Any]]]:
    """Each command of the command line and its parameters."""
    root: Any = typer.main.get_command(importlib.import_module(COMMANDS).app)
    yield "", root.params
    for name, command in sorted(root.commands.items()):
        yield name, command.params


def cli_options() -> Iterator[str]:
    """Each command with its arguments and options: spellings, default, and whether it is needed or may come several times."""
    for name, params in commands():
        yield f"isthmus {name}".strip()
        for param in params:
            shown = (
                [param.name.upper()] if param.param_type_name == "argument" else [*param.opts, *param.secondary_opts]
            )
            default = param.default if isinstance(param.default, bool | int | float | str) else None
            notes = ["required"] * param.required + ["several"] * (param.nargs != 1 or param.multiple)
            yield f"    {', '.join(shown)}{'' if default is None else f' = {default}'} {' '.join(notes)}".rstrip()


def parameter_names() -> Iterator[str]:
    """The name and shape of each tensor of the preset `tiny` over 1,000 pieces, as a bundle holds them."""
    for name, tensor in sorted(weights(isthmus.build(isthmus.ModelConfig.preset("tiny"), 1000, 1000)).items()):
        yield f"{name}  {' x '.join(map(str, tensor.shape))}"


FROZEN: Final[Mapping[str, Callable[[], Iterator[str]]]] = MappingProxyType(
    {"public_names.txt": public_names, "cli_options.txt": cli_options, "parameter_names.txt": parameter_names}
)


def ready(name: str) -> bool:
    """Whether what a file lists can be looked at: the command line may not be there yet."""
    return name != "cli_options.txt" or (PACKAGE / "cli" / "main.py").is_file()
