#!/bin/sh
# Make the virtual environment and the link that lets FQCNs resolve from a checkout. Instant when nothing has changed.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
lock=requirements/dev.txt
python=${PYTHON:-python3}
link=.collections/ansible_collections/homelab/data_platform

die() {
    echo "setup: $*" >&2
    exit 1
}

apt_install() { # <what it is for> <package>...
    purpose=$1
    shift
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        die "$purpose is missing. Install it first (on Debian: sudo apt-get install $*), then run this again."
    fi
    echo "setup: installing $* ($purpose)"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -qq --yes --no-install-recommends "$@" >/dev/null ||
        die "apt-get could not install: $*. Look at its messages above."
}

mkdir -p "$(dirname "$link")"
[ "$(readlink "$link" || true)" = ../../.. ] || ln -sfn ../../.. "$link"

wanted=$(cat "$lock" requirements/uv.txt tools/setup.sh | sha256sum | cut -d' ' -f1)
if [ -x "$venv/bin/ansible-playbook" ] && [ "$(cat "$venv/.lock-sha256" 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi

for tool in git ssh curl; do
    case $tool in ssh) package=openssh-client ;; *) package=$tool ;; esac
    command -v "$tool" >/dev/null || apt_install "the command $tool" "$package" ca-certificates
done
command -v "$python" >/dev/null || apt_install "Python" python3 python3-venv
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$("$python" --version) is too old: 3.11 or newer is needed. Name one with: make setup PYTHON=/path/to/python3"
"$python" -c 'import ensurepip, venv' 2>/dev/null || apt_install "Python's venv module" python3-venv

echo "setup: making $venv with $("$python" --version); the first time takes a minute"
# An environment of another Python, or one that was copied or moved, is made anew.
"$venv/bin/python" -c 'import pip' 2>/dev/null && [ -x "$venv/bin/uv" ] || "$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt ||
    die "the package uv could not be installed. Without a network, point pip at a mirror (PIP_INDEX_URL or PIP_FIND_LINKS)."
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --require-hashes --requirement "$lock" ||
    die "the packages of $lock could not be installed. Without a network, point uv at a mirror (UV_INDEX_URL or UV_FIND_LINKS)."
# uv leaves out what pip does. Without bytecode each run of a module compiles its libraries anew: 3 s for Kubernetes' client alone.
# Of the collections only a few files are ever imported; a file that is no Python of this version is nobody's business.
"$venv/bin/python" -m compileall -qq -j 0 -x /ansible_collections/ "$venv"/lib/python3*/site-packages || true
echo "$wanted" >"$venv/.lock-sha256"
echo "setup: done"
