"""What is exported, with all that a comparison needs of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isthmus.core.runtime import Runtime
from isthmus.data.example import Example
from isthmus.engines.forms import open_bundle
from isthmus.engines.torch_engine import TorchEngine
from isthmus.export.sides import Stepping
from isthmus.generate.inputs import Task
from isthmus.generate.jobs import Target
from isthmus.generate.load import translator
from isthmus.model.bundle import CARD, Bundle


@dataclass(frozen=True, slots=True)
class Source:
    """A bundle to export.

    Attributes:
        bundle: its weights and all that belongs to them.
        folder: where it was read from.
        task: what it was trained for.
        examples: pairs to compare on.
    """

    bundle: Bundle
    folder: Path
    task: Task
    examples: tuple[Example, ...]

    @classmethod
    def of(cls, folder: Path, examples: tuple[Example, ...] = ()) -> Source:
        """Read a bundle.

        Args:
            folder: of the bundle.
            examples: pairs to compare on; without any, the bundle's own sample.

        Raises:
            BundleError: there is no bundle, or it is damaged or of a newer format.
        """
        bundle = open_bundle(folder)
        return cls(bundle, folder, translator(bundle).task, examples or bundle.sample)

    @property
    def target(self) -> Target:
        """What a search must know of the target side."""
        vocabulary = self.bundle.codec.target.vocabulary
        return Target(vocabulary.eos, vocabulary.control, self.task.positions)

    def side(self, runtime: Runtime) -> Stepping:
        """The bundle itself, as one side of a comparison."""
        codec = self.bundle.codec
        engine = TorchEngine(self.bundle.model, (codec.config.frame.start,), runtime)
        return Stepping(engine, self.target, codec.target.vocabulary.size, codec.first_ids)

    def card(self, form: str) -> str:
        """The bundle's model card, with a word on the form that it was exported to.

        Args:
            form: for example `CTranslate2, int8`.
        """
        path = self.folder / CARD
        text = path.read_text(encoding="utf-8").rstrip() if path.is_file() else "# An Isthmus model"
        return f"{text}\n\n## Form\n\nExported by `isthmus export`: {form}.\n"
