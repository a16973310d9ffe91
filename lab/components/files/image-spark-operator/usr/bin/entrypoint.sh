#!/bin/bash
# Starts the operator, with a name for a uid that has none: its spark-submit refuses to work otherwise.
set -e
if ! getent passwd "$(id -u)" > /dev/null; then
  for wrapper in /usr/lib/*/libnss_wrapper.so; do
    NSS_WRAPPER_PASSWD=$(mktemp); NSS_WRAPPER_GROUP=$(mktemp)
    export LD_PRELOAD=$wrapper NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    echo "spark:x:$(id -u):$(id -g):${SPARK_USER_NAME:-anonymous uid}:$SPARK_HOME:/bin/false" > "$NSS_WRAPPER_PASSWD"
    echo "spark:x:$(id -g):" > "$NSS_WRAPPER_GROUP"
    break
  done
fi
exec /usr/bin/tini -s -- /usr/bin/spark-operator "$@"
