#!/bin/sh
# Write the hashed lock files from their .in files. They hold no index address: pip's or uv's own configuration decides that.
set -eu
cd "$(dirname "$0")/.."

lock() { # <input> <output> <oldest Python> [options]
    input=$1 output=$2 python=$3
    shift 3
    .venv/bin/uv pip compile --quiet --universal --python-version "$python" --generate-hashes \
        --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' \
        --output-file "$output" "$@" "$input"
    echo "wrote $output"
}

lock requirements/dev.in requirements/dev.txt 3.11 "$@"
lock requirements/uv.in requirements/uv.txt 3.11 --constraints requirements/dev.txt "$@"
lock requirements/control-host.in roles/control_host/files/requirements.txt 3.10 "$@"
