#!/bin/sh
# Have each user of a file of lines "name policy secret-key"; print the names of those that were not so.
set -eu

# Makes the user, or enables it and sets its key. On standard input, for arguments are seen by everybody on the machine.
write() { printf '%s\n%s\n' "$name" "$key" | mc admin user add bench >/dev/null; }

# MinIO gives no key back, and mc has no command to try one: only a request as that user tells.
refused() { MC_HOST_probe="https://$name:$key@$BENCH_ADDRESS" mc --json ls probe | grep -q SignatureDoesNotMatch; }

while read -r name policy key <&3; do
    found=$(mc --json admin user info bench "$name" || true)
    case $found in
    *'"userStatus":"enabled"'*) if refused; then write && echo "$name"; fi ;;
    *) write && echo "$name" ;;
    esac
    case $found in
    *"\"policyName\":\"$policy\""*) ;;
    *) mc admin policy attach bench "$policy" --user "$name" >/dev/null && echo "$name" ;;
    esac
done 3<"$1"
