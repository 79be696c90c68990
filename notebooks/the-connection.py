# %% [markdown]
# # The connection
#
# What passes from an encoder to a decoder: first worked by hand, then trained. The chapter that belongs to it is `docs/the-connection.md`.
#
# It takes about a minute on a laptop, and needs neither a GPU nor data: the task is to write a row of letters backwards.
#
# On Colab, bring the toolkit along first: clone or upload its checkout, so that the folder `isthmus` lies beside this notebook. The next
# cell installs it. In the environment of the toolkit nothing is installed.

# %%
import importlib.util
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("isthmus") is None or importlib.util.find_spec("matplotlib") is None:
    places = [Path.cwd(), Path.cwd().parent, Path.cwd() / "isthmus"]
    checkout = next(place for place in places if (place / "pyproject.toml").is_file())
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", f"{checkout}[plot]"], check=True)

# %%
import random
import tempfile

import matplotlib.pyplot as plt
import torch

import isthmus

# %% [markdown]
# ## Self-attention by hand
#
# Three tokens, vectors of two numbers. Each token asks (query), offers (key) and says (value); the shares of a row sum to one.

# %%
X = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
W_Q = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
W_K = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
W_V = torch.tensor([[1.0, 2.0], [0.0, 1.0]])

Q, K, V = X @ W_Q, X @ W_K, X @ W_V
scores = Q @ K.T / 2**0.5
shares = torch.softmax(scores, dim=1)
H = shares @ V
print("shares:", *[[round(value, 3) for value in row] for row in shares.tolist()], sep="\n")
print("read:", *[[round(value, 3) for value in row] for row in H.tolist()], sep="\n")

# %% [markdown]
# Change a number in `W_Q` and run the cell again. Which row of the shares changes? (All of them: every token asks with `W_Q`.)
#
# ## A task
#
# Rows of two to twelve letters, and the same backwards. Each line of the file is a source, a tab and a target.

# %%
folder = Path(tempfile.mkdtemp())
chance = random.Random(1)


def pairs(count):
    rows = ([chance.choice("abcdefgh") for _ in range(chance.randint(2, 12))] for _ in range(count))
    return "".join(f"{' '.join(row)}\t{' '.join(reversed(row))}\n" for row in rows)


for name, count in (("train", 6000), ("dev", 200), ("test", 400)):
    (folder / f"{name}.tsv").write_text(pairs(count), encoding="utf-8")
print(*(folder / "test.tsv").read_text(encoding="utf-8").splitlines()[:3], sep="\n")

# %% [markdown]
# ## Two models that differ in one line
#
# A study trains variants of one recipe with the same budget on the same data. Here: a Transformer whose decoder reads all states of the
# encoder by attention, and one whose decoder reads one fixed vector, the mean of the states.

# %%
RECIPE = """
[data]
train = [{ source = "train.tsv" }]
dev = { source = "dev.tsv" }
test = { source = "test.tsv" }
batch = { tokens = 512 }
[tokenizer]
source = { kind = "symbols" }
[codec]
max_source_length = 16
max_target_length = 16
[model]
d_model = 48
embedding = { dropout = 0.0, positions = { maximum = 16 } }
encoder = { layers = 2, summary = "mean", layer = { heads = 4, feed_forward = 96, dropout = 0.0 } }
connection = { kind = "multi-head-attention", heads = 4 }
decoder = { layers = 2, layer = { heads = 4, feed_forward = 96, dropout = 0.0 } }
[train]
steps = 500
label_smoothing = 0.0
precision = "float32"
optimiser = { kind = "adam", learning_rate = 5e-3 }
schedule = { kind = "cosine", warmup = 30 }
[generation]
num_beams = 1
"""
STUDY = """
recipe = "recipe.toml"
steps = 500
metrics = ["exact"]
lengths = [3, 6, 9]

[changes]
"data.root" = "ROOT"

[[variants]]
name = "attention"

[[variants]]
name = "fixed-vector"
changes = { "model.connection" = { kind = "fixed-vector" } }
"""
(folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
(folder / "study.toml").write_text(STUDY.replace("ROOT", folder.as_posix()), encoding="utf-8")
torch.set_num_threads(1)  # so small a model is faster with one
studied = isthmus.study(folder / "study.toml", folder / "study", progress=False)
print((folder / "study" / "study.md").read_text(encoding="utf-8"))

# %% [markdown]
# How many rows are right to the last letter, by their length:

# %%
figure, axes = plt.subplots(figsize=(6, 3.5))
for row in studied.rows:
    scores = [bucket.scores[0] for bucket in row.buckets]
    axes.errorbar(
        [bucket.label for bucket in row.buckets],
        [score.value for score in scores],
        yerr=([score.value - score.low for score in scores], [score.high - score.value for score in scores]),
        marker="o",
        capsize=3,
        label=row.name,
    )
axes.set_xlabel("letters")
axes.set_ylabel("right to the last letter, %")
axes.legend()
plt.show()

# %% [markdown]
# ## Where the decoder looked
#
# With attention one can see what was read for each piece that was written. For a row written backwards, a head that does the work has
# its weight on the other diagonal.

# %%
from isthmus.evaluate.inspect import inspect
from isthmus.evaluate.page import page

bundle = isthmus.Bundle.load(folder / "study" / "runs" / "attention" / "best")
found = inspect(bundle, "a b c d e f")
print(found.source, "→", found.target)

last = found.layers[-1]
figure, axes = plt.subplots(1, len(last.heads), figsize=(2.6 * len(last.heads), 3), squeeze=False)
for number, (one, head) in enumerate(zip(axes[0], last.heads, strict=True), 1):
    one.imshow(head, cmap="Blues", vmin=0, vmax=1)
    one.set_title(f"last layer, head {number}", fontsize=9)
    one.set_xticks(range(len(last.columns)), last.columns)
    one.set_yticks(range(len(found.tokens)), [token.piece for token in found.tokens])
plt.show()

# %% [markdown]
# The whole of it, with the search and the runners-up, is one page that opens in a browser:

# %%
report = folder / "report.html"
report.write_text(page(found), encoding="utf-8")
print("open", report)

# %% [markdown]
# ## And without attention
#
# The decoder of the other model reads the same vector at every step. It has no weights to draw, and says so.

# %%
without = inspect(isthmus.Bundle.load(folder / "study" / "runs" / "fixed-vector" / "best"), "a b c d e f")
print(without.source, "→", without.target)
print(*without.notes, sep="\n")

# %% [markdown]
# **To try:** make the fixed vector larger (`"model.d_model" = 96` in its `changes`), or train it longer. How far does each push the length
# at which it fails?
