#!/bin/sh
# Every molecule scenario but the default one, each on a lab of its own making. One that fails does not keep the others from running.
set -eu
cd "$(dirname "$0")/.."
failed=
for file in molecule/*/molecule.yml; do
    scenario=$(basename "$(dirname "$file")")
    [ "$scenario" != default ] || continue
    tools/step "molecule: $scenario" molecule test --scenario-name "$scenario" || failed="$failed $scenario"
done
[ -z "$failed" ] || { printf 'These scenarios failed:%s\n' "$failed" >&2; exit 1; }
