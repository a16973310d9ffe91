{{/* Not empty for Airflow 3; not empty for a chart that is as new as 1.22. */}}
{{- define "airflow.three" -}}
{{ if semverCompare ">=3.0.0-0" .Values.airflowVersion }}yes{{ end }}
{{- end }}

{{- define "airflow.new" -}}
{{ if semverCompare ">=1.20.0-0" .Chart.Version }}yes{{ end }}
{{- end }}

{{- define "airflow.web" -}}
{{ if include "airflow.three" . }}api-server{{ else }}webserver{{ end }}
{{- end }}

{{- define "airflow.labels" -}}
tier: airflow
component: {{ .component }}
release: {{ .root.Release.Name }}
{{- end }}

{{- define "airflow.metadata" -}}
{{ include "airflow.labels" . }}
chart: "{{ .root.Chart.Name }}-{{ .root.Chart.Version }}"
heritage: {{ .root.Release.Service }}
{{- end }}

{{- define "airflow.account" -}}
{{- $account := (index .root.Values .values).serviceAccount -}}
{{- if $account.create }}{{ default (printf "%s-%s" .root.Release.Name .name) $account.name }}{{ else }}{{ default "default" $account.name }}{{ end -}}
{{- end }}

{{- define "airflow.image" -}}
{{ .Values.defaultAirflowRepository }}:{{ .Values.defaultAirflowTag }}
{{- end }}

{{- define "airflow.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end }}

{{- define "airflow.dags" -}}
{{ .Values.airflowHome }}/dags{{ if .Values.dags.gitSync.enabled }}/repo/{{ .Values.dags.gitSync.subPath }}{{ end }}
{{- end }}

{{/* Where every pod of Airflow runs, and as whom. */}}
{{- define "airflow.scheduling" -}}
nodeSelector: {{ toJson .Values.nodeSelector }}
tolerations: {{ toJson .Values.tolerations }}
topologySpreadConstraints: []
securityContext: {runAsUser: {{ .Values.uid }}, fsGroup: {{ .Values.gid }}}
{{- end }}

{{- define "airflow.spread" -}}
affinity:
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - podAffinityTerm:
          labelSelector: {matchLabels: {component: {{ . }}}}
          topologyKey: kubernetes.io/hostname
        weight: 100
{{- end }}

{{/* User's environment; then the one that Airflow itself needs. */}}
{{- define "airflow.extraEnv" -}}
{{ tpl .Values.extraEnv . }}
{{- end }}

{{- define "airflow.extraEnvFrom" -}}
{{ tpl .Values.extraEnvFrom . | fromYamlArray | toJson }}
{{- end }}

{{- define "airflow.env" -}}
- name: AIRFLOW__CORE__FERNET_KEY
  valueFrom: {secretKeyRef: {name: {{ .Values.fernetKeySecretName }}, key: fernet-key}}
- name: AIRFLOW_HOME
  value: {{ .Values.airflowHome }}
{{- if not (include "airflow.new" .) }}
- name: AIRFLOW__CORE__SQL_ALCHEMY_CONN
  valueFrom: {secretKeyRef: {name: {{ .Values.data.metadataSecretName }}, key: connection}}
{{- end }}
{{- range list "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" "AIRFLOW_CONN_AIRFLOW_DB" }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.data.metadataSecretName }}, key: connection}}
{{- end }}
{{- if include "airflow.three" . }}
- name: AIRFLOW__API__SECRET_KEY
  valueFrom: {secretKeyRef: {name: {{ .Values.apiSecretKeySecretName }}, key: api-secret-key}}
{{- else }}
- name: AIRFLOW__WEBSERVER__SECRET_KEY
  valueFrom: {secretKeyRef: {name: {{ .Values.webserverSecretKeySecretName }}, key: webserver-secret-key}}
{{- end }}
{{- if eq .Values.executor "CeleryExecutor" }}
- name: AIRFLOW__CELERY__BROKER_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.data.brokerUrlSecretName }}, key: connection}}
{{- end }}
{{- end }}

{{/* For those who sign or check what a task says to the API server. */}}
{{- define "airflow.jwt" -}}
{{- if include "airflow.three" . -}}
- name: AIRFLOW__API_AUTH__JWT_SECRET
  valueFrom: {secretKeyRef: {name: {{ .Values.jwtSecretName }}, key: jwt-secret}}
{{- end }}
{{- end }}

{{- define "airflow.configMounts" -}}
- {name: config, mountPath: {{ .Values.airflowHome }}/airflow.cfg, subPath: airflow.cfg, readOnly: true}
{{- if .Values.airflowLocalSettings }}
- {name: config, mountPath: {{ .Values.airflowHome }}/config/airflow_local_settings.py, subPath: airflow_local_settings.py, readOnly: true}
{{- end }}
{{- end }}

{{- define "airflow.ownMounts" -}}
{{- with .Values.volumeMounts }}{{ toYaml . }}{{ end }}
{{- end }}

{{- define "airflow.podTemplateMount" -}}
- name: config
  mountPath: {{ .Values.airflowHome }}/pod_templates/pod_template_file.yaml
  subPath: pod_template_file.yaml
  readOnly: true
{{- end }}

{{- define "airflow.dagsMount" -}}
{{- if or .Values.dags.gitSync.enabled .Values.dags.persistence.enabled -}}
- name: dags
  mountPath: {{ .Values.airflowHome }}/dags
  {{- with .Values.dags.persistence.subPath }}
  subPath: {{ . }}
  {{- end }}
  readOnly: {{ .Values.dags.gitSync.enabled }}
{{- end }}
{{- end }}

{{- define "airflow.dagsVolume" -}}
{{- if .Values.dags.persistence.enabled -}}
- {name: dags, persistentVolumeClaim: {claimName: {{ .Values.dags.persistence.existingClaim }}}}
{{- else if .Values.dags.gitSync.enabled -}}
- {name: dags, emptyDir: {}}
{{- if .Values.dags.gitSync.sshKeySecret }}
- name: git-sync-ssh-key
  secret: {secretName: {{ .Values.dags.gitSync.sshKeySecret }}, defaultMode: 288}
{{- end }}
{{- end }}
{{- end }}

{{/* What one component has beside the others: containers, volumes, mounts. */}}
{{- define "airflow.extra" -}}
{{- with index .values .list }}{{ tpl (toYaml .) $.root }}{{ end }}
{{- end }}

{{- define "airflow.waitForMigrations" -}}
- name: wait-for-airflow-migrations
  image: {{ include "airflow.image" .root }}
  imagePullPolicy: IfNotPresent
  securityContext: {{- include "airflow.containerSecurity" .root | nindent 4 }}
  args: [airflow, db, check-migrations, --migration-wait-timeout={{ .root.Values.images.migrationsWaitTimeout }}]
  envFrom: {{ include "airflow.extraEnvFrom" .root }}
  env: {{- include "airflow.extraEnv" .root | nindent 4 }} {{- include "airflow.env" .root | nindent 4 }}
  resources: {{ toJson .values.resources }}
  volumeMounts:
    {{- if .logs }}
    - {name: logs, mountPath: {{ .root.Values.airflowHome }}/logs}
    {{- end }}
    {{- include "airflow.configMounts" .root | nindent 4 }} {{- include "airflow.ownMounts" .root | nindent 4 }}
    {{- include "airflow.extra" (dict "root" .root "values" .values "list" "extraVolumeMounts") | nindent 4 }}
{{- end }}

{{/* Both spellings, of git-sync 3 and 4. */}}
{{- define "airflow.gitSync" -}}
{{- $sync := .root.Values.dags.gitSync -}}
{{- if $sync.enabled -}}
- name: git-sync{{ if .once }}-init{{ end }}
  image: {{ .root.Values.images.gitSync.repository }}:{{ .root.Values.images.gitSync.tag }}
  imagePullPolicy: IfNotPresent
  securityContext: {runAsUser: {{ $sync.uid }}}
  env:
    {{- if $sync.sshKeySecret }}
    - {name: GIT_SSH_KEY_FILE, value: /etc/git-secret/ssh}
    - {name: GITSYNC_SSH_KEY_FILE, value: /etc/git-secret/ssh}
    - {name: GIT_SYNC_SSH, value: "true"}
    - {name: GITSYNC_SSH, value: "true"}
    - {name: GIT_KNOWN_HOSTS, value: "true"}
    - {name: GITSYNC_SSH_KNOWN_HOSTS, value: "true"}
    - {name: GIT_SSH_KNOWN_HOSTS_FILE, value: /etc/git-secret/known_hosts}
    - {name: GITSYNC_SSH_KNOWN_HOSTS_FILE, value: /etc/git-secret/known_hosts}
    {{- else if $sync.credentialsSecret }}
    {{- range $name := list "GIT_SYNC_USERNAME" "GITSYNC_USERNAME" "GIT_SYNC_PASSWORD" "GITSYNC_PASSWORD" }}
    - name: {{ $name }}
      valueFrom: {secretKeyRef: {name: {{ $sync.credentialsSecret | quote }}, key: {{ $name }}}}
    {{- end }}
    {{- end }}
    - {name: GIT_SYNC_REV, value: {{ $sync.rev | quote }}}
    - {name: GITSYNC_REF, value: {{ $sync.ref | quote }}}
    - {name: GIT_SYNC_BRANCH, value: {{ $sync.branch | quote }}}
    - {name: GIT_SYNC_REPO, value: {{ $sync.repo | quote }}}
    - {name: GITSYNC_REPO, value: {{ $sync.repo | quote }}}
    - {name: GIT_SYNC_DEPTH, value: {{ $sync.depth | quote }}}
    - {name: GITSYNC_DEPTH, value: {{ $sync.depth | quote }}}
    - {name: GIT_SYNC_ROOT, value: /git}
    - {name: GITSYNC_ROOT, value: /git}
    - {name: GIT_SYNC_DEST, value: repo}
    - {name: GITSYNC_LINK, value: repo}
    - {name: GIT_SYNC_ADD_USER, value: "true"}
    - {name: GITSYNC_ADD_USER, value: "true"}
    - {name: GITSYNC_PERIOD, value: {{ $sync.period | quote }}}
    - {name: GIT_SYNC_MAX_SYNC_FAILURES, value: {{ $sync.maxFailures | quote }}}
    - {name: GITSYNC_MAX_FAILURES, value: {{ $sync.maxFailures | quote }}}
    {{- if .once }}
    - {name: GIT_SYNC_ONE_TIME, value: "true"}
    - {name: GITSYNC_ONE_TIME, value: "true"}
    {{- else if include "airflow.new" .root }}
    - {name: GIT_SYNC_HTTP_BIND, value: ":1234"}
    - {name: GITSYNC_HTTP_BIND, value: ":1234"}
    {{- end }}
    {{- with $sync.env }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- if and (not .once) (include "airflow.new" .root) }}
  startupProbe:
    timeoutSeconds: 1
    failureThreshold: 10
    periodSeconds: 5
    httpGet: {path: /, port: 1234}
  {{- end }}
  resources: {{ toJson $sync.resources }}
  volumeMounts:
    - {name: dags, mountPath: /git}
    {{- if $sync.sshKeySecret }}
    - {name: git-sync-ssh-key, mountPath: /etc/git-secret/ssh, readOnly: true, subPath: gitSshKey}
    - {name: config, mountPath: /etc/git-secret/known_hosts, readOnly: true, subPath: known_hosts}
    {{- end }}
    {{- with $sync.extraVolumeMounts }}{{ toYaml . | nindent 4 }}{{ end }}
{{- end }}
{{- end }}

{{- define "airflow.jobCheck" -}}
{{ include "airflow.check" (printf "--job-type %s --local" .) }}
{{- end }}

{{- define "airflow.check" -}}
exec:
  command:
    - sh
    - -c
    - |
      CONNECTION_CHECK_MAX_COUNT=0 AIRFLOW__LOGGING__LOGGING_LEVEL=ERROR exec /entrypoint \
      airflow jobs check {{ . }}
{{- end }}

{{- define "airflow.timing" -}}
{{- range $key := list "initialDelaySeconds" "timeoutSeconds" "failureThreshold" "periodSeconds" }}
{{- if hasKey $ $key }}
{{ $key }}: {{ index $ $key }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the web interface says that it is well. Airflow 2 answers below the path of its address only, and under its name. */}}
{{- define "airflow.webHealth" -}}
port: 8080
scheme: HTTP
{{- if include "airflow.three" . }}
path: /api/v2/monitor/health
{{- else if .Values.config.webserver.base_url }}
{{- $address := urlParse (tpl .Values.config.webserver.base_url .) }}
path: {{ $address.path }}/health
httpHeaders: [{name: Host, value: {{ $address.hostname }}}]
{{- else }}
path: /health
{{- end }}
{{- end }}
