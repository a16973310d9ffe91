#!/bin/sh
# ansible-test sanity on the files of the built collection, in a copy at the path that it wants.
set -eu
cd "$(dirname "$0")/.."
checkout=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ansible-galaxy collection build --output-path "$work" >/dev/null
copy=$work/ansible_collections/homelab/data_platform
mkdir -p "$copy"
tar -xzf "$work"/homelab-data_platform-*.tar.gz -C "$copy"
if [ -d tests/sanity ]; then
    mkdir -p "$copy/tests" && cp -R tests/sanity "$copy/tests/"
fi

# Each of its tests has a virtual environment of its own below $HOME/.ansible/test; here they stay in the checkout's cache.
# The first run makes them, with pip from Python itself: the script that it would download is put where it looks first.
export HOME="$checkout/.cache/ansible-test"
requirements=$(python -c 'import ansible_test._internal as it; print(it.__path__[0])')/python_requirements.py
pip_version=$(sed -n "s/^ *pip='\([0-9.]*\)',/\1/p" "$requirements" | tr . _)
mkdir -p "$HOME/.ansible/test/cache"
cp tools/get_pip.py "$HOME/.ansible/test/cache/get_pip_$pip_version.py"

cd "$copy"
if ! ansible-test sanity --local --requirements --color no --truncate 0 \
    --python "$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" "$@" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
fi
