#!/usr/bin/env bash
# The figures of the shipped model:  ECGCLIP_DATA=... bash benchmarks/evaluate.sh results
# Then: python benchmarks/table.py results. The ablations, unseen conditions, mutants and the million have programs of their own.
set -euo pipefail
out=${1:-results}
ptb=$ECGCLIP_DATA/ptb-xl
zeroshot() { ecgclip eval zeroshot "$@"; }

# what a user types: with the knowledge base a code and a name of either language mean the same; without it they differ
for set in ptb-xl-super ptb-xl-all; do
  zeroshot --dataset ptb-xl "$ptb" --fold 9 --label-set $set -o "$out/fold9-$set-code"
  for naming in code en de; do
    zeroshot --dataset ptb-xl "$ptb" --fold 9 --label-set $set --naming $naming --no-enrich -o "$out/fold9-$set-$naming-plain"
  done
done
for lead in I II V1; do
  zeroshot --dataset ptb-xl "$ptb" --fold 9 --label-set ptb-xl-super --leads $lead -o "$out/fold9-super-lead-$lead"
done
zeroshot --dataset ptb-xl "$ptb" --fold 9 --label-set ptb-xl-rhythm --leads I -o "$out/fold9-rhythm-lead-I"
zeroshot --dataset cpsc2018 "$ECGCLIP_DATA/challenge-2020" --label-set cpsc2018 --least 4 -o "$out/cpsc2018"
zeroshot --dataset challenge-2020 "$ECGCLIP_DATA/challenge-2020" --label-set annotated --least 4 -o "$out/challenge-2020"
zeroshot --dataset challenge-2017 "$ECGCLIP_DATA/challenge-2017" --label-set cinc2017 -o "$out/challenge-2017"
ecgclip eval robustness "$ptb" --label-set ptb-xl-super --fold 9 -o "$out/robustness"
ecgclip eval describe --dataset ptb-xl "$ptb" --fold 9 -o "$out/describe"
ecgclip eval probe --dataset ptb-xl "$ptb" --fold 9 --label-set ptb-xl-super --seeds 5 -o "$out/fold9-probe-super"
ecgclip eval retrieval --dataset ptb-xl "$ptb" --fold 9 -o "$out/fold9-retrieval"
python benchmarks/retrieval.py "$ptb" "$(mktemp -d)/index" "$out/retrieval"
python benchmarks/changed.py "$ECGCLIP_DATA" "$(mktemp -d)" "$out/changed"
python benchmarks/simulated.py "$out/simulated"
python benchmarks/untrained.py "$ptb" "$out/untrained"
python benchmarks/speed.py | tee "$out/speed.json"
