#!/usr/bin/env bash
# From everyday sentences to Debian's texts: train, export to Hugging Face, import, tune, and compare.
# usage: examples/domain.sh OUT [changes of the first recipe --- changes of the tuning]
# Needs ISTHMUS_DATA with tatoeba-en-fr and en-fr-large, and pip install 'isthmus[huggingface]'.
set -euo pipefail
out="$1"; shift
first=(); while [[ $# -gt 0 && "$1" != "---" ]]; do first+=("$1"); shift; done
[[ $# -gt 0 ]] && shift
tuning=("$@")
here="$(cd "$(dirname "$0")/.." && pwd)"
mkdir -p "$out"

# Debian's pairs are those of the large corpus that Tatoeba has not. Every 97th source becomes dev, the one after it test; there, texts
# of more than 400 bytes are left out, since the model has 256 positions.
zcat "$ISTHMUS_DATA/tatoeba-en-fr/train.tsv.gz" > "$out/tatoeba.tsv"
zcat "$ISTHMUS_DATA/en-fr-large/train.tsv.gz" |
  LC_ALL=C awk 'NR == FNR { seen[$0] = 1; next } !($0 in seen)' "$out/tatoeba.tsv" - > "$out/debian.tsv"
LC_ALL=C awk -F'\t' -v out="$out" '
  !($1 in place) { place[$1] = ++sources % 97 }
  { part = place[$1] == 0 ? "dev" : place[$1] == 1 ? "test" : "train" }
  part == "train" || length($1) <= 400 && length($2) <= 400 { print > (out "/" part ".tsv") }' "$out/debian.tsv"

isthmus train "$here/recipes/tatoeba-en-fr.toml" "${first[@]}" --out "$out/tatoeba"
isthmus export "$out/tatoeba" "$out/huggingface" --to huggingface
isthmus import "$out/huggingface" "$out/imported" --source-language en --target-language fr
isthmus train "$here/recipes/debian-en-fr.toml" "data.root=\"$out\"" "start.bundle=\"$out/imported\"" "${tuning[@]}" --out "$out/tuned"

for model in imported tuned; do
  for set in "$out/test.tsv" "$ISTHMUS_DATA/tatoeba-en-fr/test.tsv.gz"; do
    echo "$model on $set"
    isthmus evaluate "$out/$model" --data "$set" --metrics bleu,chrf
  done
done
