"""Commands whose modules are imported only when they are called, so that the others start fast."""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


class LazyCommand(TyperCommand):
    """A command that stands for a function of a module, or for all commands of its `app`.

    Args:
        name: the name of the command, and of the function.
        module: the module of this package. If it has no such function, it has a Typer `app`.
    """

    def __init__(self, name: str, module: str) -> None:
        super().__init__(name=name)
        self._module = module

    def make_context(self, *args: Any, **given: Any) -> Any:
        """Return the context of the real command, which parses the arguments."""
        return self._real().make_context(*args, **given)

    def read_help(self) -> None:
        """Read the command's help from the source of its module, without importing it."""
        tree = ast.parse(Path(__file__).with_name(f"{self._module}.py").read_text())
        documented = {
            node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)
        }.get(str(self.name))
        self.help = ast.get_docstring(documented or tree)

    def _real(self) -> Any:
        module = import_module(f"search.cli.{self._module}")
        function = getattr(module, str(self.name), None)
        if function is None:
            return typer.main.get_command(module.app)
        own = typer.Typer(
            add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich"
        )
        own.command(self.name)(function)
        return typer.main.get_command(own)


class LazyGroup(TyperGroup):
    """A group of lazy commands, whose help reads theirs."""

    def format_help(self, *args: Any, **given: Any) -> None:
        for command in self.commands.values():
            if isinstance(command, LazyCommand):
                command.read_help()
        super().format_help(*args, **given)
