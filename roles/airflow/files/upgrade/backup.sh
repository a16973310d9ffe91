# Dump the database into the volume, read the dump again, drop the oldest ones: one line of JSON. Runs in PostgreSQL's image.
set -euo pipefail
umask 077
PGPASSWORD=$(cat /run/secrets/postgresql/password)
export PGPASSWORD
cd /backups

# What a run that was killed has left.
rm --force -- .*.partial
size=$(psql --no-psqlrc --tuples-only --no-align --command 'select pg_database_size(current_database())')
free=$(df --output=avail --block-size=1 . | tail --lines=1 | tr -d ' ')
if ((free < size)); then
  echo "no room for a backup: the database has $size bytes, the volume of the backups $free left; delete old ones, or make it larger" >&2
  exit 1
fi

name=$BACKUP_STEM-$(date --utc +%Y%m%dT%H%M%SZ).dump
pg_dump --format=custom --file=".$name.partial"
# Every byte of it, not only its table of contents.
pg_restore --file=/dev/null ".$name.partial"
tables=$(pg_restore --list ".$name.partial" | grep --count 'TABLE DATA')
sync ".$name.partial"
mv -- ".$name.partial" "$name"

# The pattern is one, and its words are ours.
# shellcheck disable=SC2086
ls -1t -- $BACKUP_PATTERN | tail --lines="+$((BACKUP_KEEP + 1))" | xargs --no-run-if-empty rm --
printf '{"name": "%s", "bytes": %s, "tables": %s}\n' "$name" "$(stat --format=%s "$name")" "$tables"
