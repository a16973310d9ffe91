#!/bin/sh
# Every molecule scenario but the default one, each on a lab of its own making.
set -eu
cd "$(dirname "$0")/.."
for file in molecule/*/molecule.yml; do
    scenario=$(basename "$(dirname "$file")")
    [ "$scenario" = default ] || tools/step "molecule: $scenario" molecule test --scenario-name "$scenario"
done
