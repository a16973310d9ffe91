#!/bin/sh
# Print the name of each user of a file of lines "name policy" that is not so, from one list of all users.
set -eu

found=$(mc --json admin user list bench)
while read -r name policy _key; do
    case $found in
    *"\"accessKey\":\"$name\",\"policyName\":\"$policy\",\"userStatus\":\"enabled\""*) ;;
    *) echo "$name" ;;
    esac
done <"$1"
