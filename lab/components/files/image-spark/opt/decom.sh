#!/bin/bash
# Kubernetes calls this before it ends an executor: ask it to hand over its work, and wait until it is gone.
set -e
worker=$(pgrep -o java)
kill -s SIGPWR "$worker"
while kill -0 "$worker" 2> /dev/null; do sleep 1; done
