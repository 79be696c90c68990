"""From the dial of diversity, and the choice among samples, to the options that they stand for."""

from __future__ import annotations

from isthmus.generate.options import GenerationOptions


def settled(options: GenerationOptions) -> GenerationOptions:
    """The options that a search can follow: `diversity` has set the others, and who chooses among samples draws them.

    Args:
        options: with `diversity` or `mbr`, or without: then they stay as they are.

    Raises:
        InputError: more outputs are asked for than there are beams, without diversity.
    """
    if options.diversity is not None:
        options = _dialled(options, options.diversity, options.num_return_sequences)
    if options.mbr is not None:
        free = {} if "top_k" in options.model_fields_set else {"top_k": 0}
        options = options.updated({"do_sample": True, **free})
    return options


def _dialled(options: GenerationOptions, diversity: float, outputs: int) -> GenerationOptions:
    """The table of `VarietyOptions.diversity`."""
    if diversity == 0:
        return options.updated({"do_sample": False})
    several = {"without_replacement": True} if outputs > 1 else {"top_p": (1 + diversity) / 2}
    return options.updated({"do_sample": True, "temperature": diversity, "top_k": 0, **several})
