#!/bin/sh
set -e

# Arguments alone are Traefik's.
if [ "${1#-}" != "$1" ]; then
    set -- traefik "$@"
fi

# So is one of its commands; anything else is run as it stands.
if traefik "$1" --help >/dev/null 2>&1; then
    set -- traefik "$@"
else
    echo "= '$1' is not a Traefik command: assuming shell execution." 1>&2
fi

exec "$@"
