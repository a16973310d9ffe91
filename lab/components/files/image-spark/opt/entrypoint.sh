#!/bin/bash
# Starts Spark's roles on Kubernetes under the contract of Spark's own image: `driver ...`, `executor ...`, anything else as it is.
# Spark gives what it has to say in SPARK_* variables.
set -eo pipefail

# A uid without a name gets one: Hadoop's login refuses to work otherwise.
if ! getent passwd "$(id -u)" > /dev/null; then
  for wrapper in /usr/lib/*/libnss_wrapper.so; do
    NSS_WRAPPER_PASSWD=$(mktemp); NSS_WRAPPER_GROUP=$(mktemp)
    export LD_PRELOAD=$wrapper NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
    echo "spark:x:$(id -u):$(id -g):${SPARK_USER_NAME:-anonymous uid}:$SPARK_HOME:/bin/false" > "$NSS_WRAPPER_PASSWD"
    echo "spark:x:$(id -g):" > "$NSS_WRAPPER_GROUP"
    break
  done
fi

as_spark=()
if [[ $(id -u) == 0 ]]; then as_spark=(setpriv --reuid=spark --regid=spark --init-groups --); fi

SPARK_CLASSPATH="$SPARK_CLASSPATH:$SPARK_HOME/jars/*${SPARK_EXTRA_CLASSPATH:+:$SPARK_EXTRA_CLASSPATH}"
if [[ -n $HADOOP_HOME && -z $SPARK_DIST_CLASSPATH ]]; then SPARK_DIST_CLASSPATH=$("$HADOOP_HOME/bin/hadoop" classpath); fi
SPARK_CLASSPATH="${HADOOP_CONF_DIR:+$HADOOP_CONF_DIR:}$SPARK_CLASSPATH"
SPARK_CLASSPATH="${SPARK_CONF_DIR:-$SPARK_HOME/conf}:$SPARK_CLASSPATH"
export SPARK_CLASSPATH SPARK_DIST_CLASSPATH

case $1 in
  driver)
    shift
    set -- "$SPARK_HOME/bin/spark-submit" \
      --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
      --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" \
      --deploy-mode client "$@"
    ;;
  executor)
    shift
    # SPARK_JAVA_OPT_0, _1, ... in the order of their numbers.
    options=()
    for (( number = 0; ; number++ )); do
      name=SPARK_JAVA_OPT_$number
      if [[ -z ${!name+set} ]]; then break; fi
      options+=("${!name}")
    done
    set -- "${JAVA_HOME}/bin/java" "${options[@]}" "-Xms$SPARK_EXECUTOR_MEMORY" "-Xmx$SPARK_EXECUTOR_MEMORY" \
      -cp "$SPARK_CLASSPATH:$SPARK_DIST_CLASSPATH" org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
      --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
      --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
      --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
  *)
    exec "${as_spark[@]}" "$@"
    ;;
esac
exec "${as_spark[@]}" /usr/bin/tini -s -- "$@"
