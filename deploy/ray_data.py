"""Bulk translation on a cluster: every worker has a model of its own and takes blocks of lines. Not run by us.

pip install isthmus 'ray[data]'
python deploy/ray_data.py /models/en-fr 's3://corpus/en/*.txt' s3://corpus/fr
"""

from __future__ import annotations

import sys

import ray

from isthmus.generate.load import load


class Generator:
    """A model, loaded once a worker."""

    def __init__(self, model: str) -> None:
        self.translator = load(model, threads=2)

    def __call__(self, batch: dict[str, list[str]]) -> dict[str, list[str]]:
        """Outputs beside their inputs, a block at a time."""
        texts = [str(text) for text in batch["text"]]
        return {"text": texts, "output": [answer.text for answer in self.translator.answers(texts)]}


if __name__ == "__main__":
    model, source, out = sys.argv[1:]
    lines = ray.data.read_text(source, drop_empty_lines=False)
    found = lines.map_batches(Generator, fn_constructor_args=(model,), batch_size=2048, concurrency=(1, 64), num_cpus=2)
    found.write_json(out)
