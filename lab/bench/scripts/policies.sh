#!/bin/sh
# Have each policy of a directory of <name>.json; print the names of those that were not so.
set -eu

# MinIO gives lists back in an order that differs from call to call: lines are compared, sorted.
lines() { tr -d ' ,' <"$1" | sort; }

for file in "$1"/*.json; do
    name=${file##*/}
    name=${name%.json}
    if mc admin policy info bench "$name" --policy-file "$1/found" >/dev/null 2>&1 && [ "$(lines "$1/found")" = "$(lines "$file")" ]; then
        continue
    fi
    mc admin policy create bench "$name" "$file" >/dev/null
    echo "$name"
done
