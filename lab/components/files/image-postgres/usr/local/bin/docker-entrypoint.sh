#!/bin/bash
# Starts PostgreSQL as the official image does, for Debian's own PostgreSQL: the first start makes the cluster, its superuser, its
# database, and runs /docker-entrypoint-initdb.d. The password goes through files and standard input, never through an argument list.
#
# POSTGRES_PASSWORD, POSTGRES_USER (postgres), POSTGRES_DB (the user's name), POSTGRES_INITDB_ARGS, each also as *_FILE;
# POSTGRES_INITDB_WALDIR, POSTGRES_HOST_AUTH_METHOD (what the server's password_encryption says), PGDATA.
set -Eeuo pipefail
shopt -s nullglob

fail() { echo "error: $*" >&2; exit 1; }

# setting NAME [DEFAULT]: from NAME or from the file that NAME_FILE names.
setting() {
  local name=$1 file="${1}_FILE"
  if [[ -n ${!name:-} && -n ${!file:-} ]]; then fail "both $name and $file are set (but are exclusive)"; fi
  if [[ -n ${!file:-} ]]; then printf -v "$name" '%s' "$(<"${!file}")"; fi
  printf -v "$name" '%s' "${!name:-${2:-}}"
  unset "$file"
}

prepare_directories() {
  install -d -m 0700 "$PGDATA" || true
  install -d -m 3775 /var/run/postgresql || true
  if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then install -d -m 0700 "$POSTGRES_INITDB_WALDIR"; fi
  if [[ $(id -u) == 0 ]]; then
    find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \! -user postgres -exec chown postgres '{}' +
  fi
}

# initdb wants to know the name of the user it runs as, which a foreign uid has not.
lend_user_name() {
  if getent passwd "$(id -u)" > /dev/null; then return; fi
  local wrapper
  for wrapper in /usr/lib/*/libnss_wrapper.so; do
    NSS_WRAPPER_PASSWD=$(mktemp); NSS_WRAPPER_GROUP=$(mktemp)
    export LD_PRELOAD=$wrapper NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" > "$NSS_WRAPPER_PASSWD"
    echo "postgres:x:$(id -g):" > "$NSS_WRAPPER_GROUP"
    return
  done
}

make_cluster() {
  lend_user_name
  local arguments=()
  # The user writes the words of POSTGRES_INITDB_ARGS with shell quotes, as upstream's documentation shows.
  eval "arguments=(${POSTGRES_INITDB_ARGS:-})"
  if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then arguments+=(--waldir "$POSTGRES_INITDB_WALDIR"); fi
  initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${arguments[@]}"
  if [[ -n ${NSS_WRAPPER_PASSWD:-} ]]; then
    rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
    unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
  fi
  local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption -D "$PGDATA")}
  printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
}

docker_process_sql() { psql --no-psqlrc --no-password --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" "$@"; }

fill_cluster() {
  export PGHOST=/var/run/postgresql PGPASSWORD=$POSTGRES_PASSWORD
  pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses='' -p ${PGPORT:-5432}" --wait start
  if [[ $POSTGRES_DB != postgres ]]; then
    POSTGRES_DB=postgres docker_process_sql --set=db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
  fi
  local file
  for file in /docker-entrypoint-initdb.d/*; do
    echo "$0: running $file"
    case $file in
      *.sh) if [[ -x $file ]]; then "$file"; else . "$file"; fi ;;
      *.sql) docker_process_sql --file="$file" ;;
      *.sql.gz) gunzip --stdout "$file" | docker_process_sql ;;
      *) echo "$0: ignoring $file" ;;
    esac
  done
  pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
  unset PGHOST PGPASSWORD
}

if [[ ${1:-} == -* ]]; then set -- postgres "$@"; fi

if [[ ${1:-} == postgres ]] && [[ ! " $* " =~ \ (-\?|--help|-V|--version|--describe-config)\  ]]; then
  prepare_directories
  if [[ $(id -u) == 0 ]]; then exec setpriv --reuid=postgres --regid=postgres --init-groups "$BASH_SOURCE" "$@"; fi
  if [[ ! -s $PGDATA/PG_VERSION ]]; then
    setting POSTGRES_PASSWORD
    setting POSTGRES_USER postgres
    setting POSTGRES_DB "$POSTGRES_USER"
    setting POSTGRES_INITDB_ARGS
    export POSTGRES_USER POSTGRES_DB
    if [[ -z $POSTGRES_PASSWORD && ${POSTGRES_HOST_AUTH_METHOD:-} != trust ]]; then
      fail 'the database is uninitialized and the superuser has no password: set POSTGRES_PASSWORD, or POSTGRES_HOST_AUTH_METHOD=trust to let everybody in'
    fi
    make_cluster
    fill_cluster
    echo 'PostgreSQL init process complete; ready for start up.'
  fi
  unset POSTGRES_PASSWORD
fi

exec "$@"
