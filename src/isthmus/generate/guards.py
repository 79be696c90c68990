"""Guards: outputs that look wrong are found, decoded again in a safer way, and the better one is kept and said so.

| fault | when | how it is decoded again |
|---|---|---|
| `repetition` | a unit comes again and again in a row, more than in training and more than in the source | no n-gram twice |
| `too_long` | far longer than the targets of such sources | at most the suspicious length |
| `too_short` | far shorter | no end before the suspicious length |
| `copy` | the source again, where the languages differ and training hardly copies | no n-gram of the source |
| `empty` | nothing, for a source with text | no end at first |
| `script` | over a third of the letters in scripts that training hardly has | no piece with such letters |

Where there is a beam, it is doubled as well (greedy search gets five).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import Any

from isthmus.data.codec import Codec
from isthmus.generate.jobs import Found, Job, SearchJobs, Target
from isthmus.generate.options import GenerationOptions
from isthmus.generate.profile import Profile, is_copy, repeated
from isthmus.generate.repair import Fault, Repair
from isthmus.generate.state import Hypothesis
from isthmus.text.scripts import scripts

_SHORTEST_LOOP = 6
_MOST_COPIES = 0.01
_MOST_EMPTY = 0.001
_MOST_FOREIGN = 1 / 3


@dataclass(frozen=True, slots=True)
class Way:
    """A safer way to decode; false if it is no other.

    Attributes:
        options: those that change.
        own_scripts: whether pieces in scripts that the training targets hardly have are ruled out.
    """

    options: tuple[tuple[str, Any], ...]
    own_scripts: bool

    def __bool__(self) -> bool:
        return bool(self.options) or self.own_scripts

    def __str__(self) -> str:
        """The options as they are written in a call."""
        said = [f"{name}={value}" for name, value in self.options]
        return ", ".join([*said, *(["no piece of other scripts"] if self.own_scripts else [])])


@dataclass(frozen=True, slots=True)
class Guards:
    """Looks at outputs with what is known of the training targets.

    Attributes:
        profile: what the training targets look like.
        codec: ids to text.
        foreign: ids of pieces in scripts that the training targets hardly have.
    """

    profile: Profile
    codec: Codec
    foreign: frozenset[int]

    @classmethod
    def of(cls, profile: Profile, codec: Codec) -> Guards:
        """Guards for a model.

        Args:
            profile: what its training targets look like.
            codec: text to ids and back.
        """
        target = codec.target
        ids = (
            set(range(target.vocabulary.size)) - set(target.vocabulary.control) - {target.vocabulary.eos}
            if profile.scripts
            else set()
        )
        letters = {one: scripts(target.decode([one])) for one in ids}
        return cls(
            profile, codec, frozenset(one for one, found in letters.items() if found.keys() - {*profile.scripts})
        )

    def faults(self, job: Job, found: Hypothesis) -> tuple[Fault, ...]:
        """What is wrong with an output; nothing, if it is like the targets of training.

        Args:
            job: what it was generated from.
            found: the output.
        """
        profile, source = self.profile, self.codec.own_pieces(job.source)
        text = self.codec.text(found.ids)
        if not text.strip():
            return ("empty",) if profile.empty <= _MOST_EMPTY else ()
        low, high = profile.usual_length(len(source))
        usual = max(_SHORTEST_LOOP, profile.repeated, repeated(source))
        letters = scripts(text)
        foreign = sum(count for name, count in letters.items() if name not in profile.scripts)
        copied = job.translates and profile.copies <= _MOST_COPIES
        checks: tuple[tuple[Fault, bool], ...] = (
            ("repetition", repeated(found.ids) > usual),
            ("too_long", len(found.ids) > high),
            ("too_short", len(found.ids) < low and found.stop == "end"),
            ("copy", copied and is_copy(self.codec.source.decode(source), text)),
            ("script", bool(profile.scripts) and foreign > _MOST_FOREIGN * letters.total()),
        )
        return tuple(name for name, wrong in checks if wrong)

    def safer(self, job: Job, faults: Collection[Fault], options: GenerationOptions) -> Way:
        """How to decode again.

        Args:
            job: what is generated from.
            faults: what is wrong with the first outputs.
            options: how they were generated.
        """
        low, high = self.profile.usual_length(len(self.codec.own_pieces(job.source)))
        shortest, longest = options.shortest(len(job.source) - 1), options.longest(len(job.source) - 1)
        size = self.profile.ngram
        given: dict[str, Any] = {}
        if not options.do_sample:
            given["num_beams"] = 5 if options.num_beams == 1 else 2 * options.num_beams
        if "repetition" in faults:
            given["no_repeat_ngram_size"] = min(size, options.no_repeat_ngram_size or size)
        if "copy" in faults and self.codec.joint:
            given["encoder_no_repeat_ngram_size"] = min(size, options.encoder_no_repeat_ngram_size or size)
        if {"empty", "too_short"} & {*faults}:
            wanted = max(1, low, shortest)
            given["min_length"] = wanted if longest is None else min(wanted, longest)
        if "too_long" in faults:
            given["max_length"] = max(1, shortest, int(high))
        return Way(tuple(given.items()), "script" in faults and bool(self.foreign))


def guarded(
    search: SearchJobs, jobs: Sequence[Job], target: Target, options: GenerationOptions, guards: Guards
) -> list[Found]:
    """Search, look at the outputs, and search again in a safer way where they look wrong.

    Args:
        search: the search.
        jobs: what to generate from.
        target: what the search must know of the target side.
        options: how to generate.
        guards: what looks wrong.
    """
    found = search(jobs, target, options)
    ways: dict[Way, list[int]] = {}
    for place, (job, first) in enumerate(zip(jobs, found, strict=True)):
        faults = {fault for one in first.hypotheses for fault in guards.faults(job, one)}
        if faults:
            ways.setdefault(guards.safer(job, faults, options), []).append(place)
    for way, places in ways.items():
        again = [jobs[place] for place in places]
        never = {*target.never, *(guards.foreign if way.own_scripts else ())}
        safer = options.updated(dict(way.options))
        second = search(again, replace(target, never=never), safer) if way else [Found((), 0.0)] * len(again)
        for place, job, other in zip(places, again, second, strict=True):
            one_by_one = options.do_sample and not options.without_replacement
            found[place] = _better(job, found[place], other, way, guards, samples=one_by_one)
    return found


def _better(job: Job, first: Found, second: Found, way: Way, guards: Guards, *, samples: bool) -> Found:
    """The better ones of both searches: those with fewer faults; of equals the first."""
    before = [guards.faults(job, one) for one in first.hypotheses]
    if samples:
        pairs = zip_longest(first.hypotheses, second.hypotheses[: len(first.hypotheses)])
        kept = [min((one for one in pair if one is not None), key=partial(_doubt, guards, job)) for pair in pairs]
    else:
        known = {one.ids for one in first.hypotheses}
        both = [*first.hypotheses, *(one for one in second.hypotheses if one.ids not in known)]
        kept = sorted(both, key=partial(_doubt, guards, job))[: len(first.hypotheses)]
        kept.sort(key=lambda one: (_doubt(guards, job, one), -one.normalised))
    repairs: list[Repair | None] = []
    for faults, one in zip(before, kept, strict=True):
        old, left = any(one is other for other in first.hypotheses), guards.faults(job, one)
        fine = old and not left
        repairs.append(None if fine else Repair(left if old else faults, str(way), "first" if old else "second", left))
    return Found(tuple(kept), first.seconds + second.seconds, tuple(repairs))


def _doubt(guards: Guards, job: Job, one: Hypothesis) -> int:
    """How much speaks against an output."""
    return len(guards.faults(job, one)) + (one.stop != "end")
