#!/usr/bin/env bash
# docs/figures/power.png, as `make figures` draws it: SPLIT under every form on the testbed's power offers. Minutes on a CPU.
set -euo pipefail
split=${BIN:-.venv/bin}/easyedit-split
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
common=(--model testbed:qwen2 --data testbed:power)
for given in vector:-40:40:33 lora:-8:8:33 local_weight:-2:2:33; do
    form=${given%%:*}
    "$split" train "${common[@]}" --form "$form" --objective split --out "$work/$form"
    "$split" sweep "${common[@]}" --intervention "$work/$form" --m "${given#*:}" --refine --out "$work/$form.parquet"
done
"$split" plot "$work"/{vector,lora,local_weight}.parquet --fit --out docs/figures/power.png --overwrite
