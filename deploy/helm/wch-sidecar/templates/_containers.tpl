{{/*
What containers of wch-sidecar have in common. Charts that have this one as a dependency use
`wch-sidecar.sidecar` and `wch-sidecar.volumes`:

  spec:
    enableServiceLinks: false
    initContainers:
      {{- include "wch-sidecar.sidecar" (index .Subcharts "wch-sidecar") | nindent 6 }}
    volumes:
      {{- include "wch-sidecar.volumes" (index .Subcharts "wch-sidecar") | nindent 6 }}

or, beside replicas of their own, `wch-sidecar.wait` alone as an init container, with the pod's label
`wch-sidecar-client: "yes"` for the NetworkPolicy.
*/}}

{{- define "wch-sidecar.security" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* Settings and secrets; the latter are files, which are read again when they change. */}}
{{- define "wch-sidecar.environment" -}}
envFrom:
  - configMapRef: {name: {{ include "wch-sidecar.name" . }}}
env:
  {{- if .Values.appid }}
  - {name: WCH_APPSECRET_FILE, value: /run/secrets/wch-sidecar/appsecret}
  {{- end }}
  {{- if .Values.redis.hasPassword }}
  - {name: WCH_REDIS_PASSWORD_FILE, value: /run/secrets/wch-sidecar/redis-password}
  {{- end }}
  {{- if .Values.config }}
  - {name: WCH_CONFIG, value: /etc/wch-sidecar/config.json5}
  {{- end }}
  {{- with .Values.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "wch-sidecar.mounts" -}}
- {name: wch-sidecar, mountPath: /run/secrets/wch-sidecar, readOnly: true}
{{- if .Values.config }}
- {name: wch-sidecar-config, mountPath: /etc/wch-sidecar, readOnly: true}
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "wch-sidecar.volumes" -}}
- name: wch-sidecar
  secret:
    secretName: {{ .Values.existingSecret }}
    # 0444: readable whatever the pod's fsGroup. Its own containers alone mount it.
    defaultMode: 292
{{- if .Values.config }}
- name: wch-sidecar-config
  configMap:
    name: {{ include "wch-sidecar.name" . }}-config
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A native sidecar (Kubernetes 1.29), and an init container that waits for the first token. */}}
{{- define "wch-sidecar.sidecar" -}}
- name: wch-sidecar
  image: {{ include "wch-sidecar.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  restartPolicy: Always
  args: [run]
  {{- include "wch-sidecar.environment" . | nindent 2 }}
  ports:
    - {name: wch-http, containerPort: 2130}
  # From within, since it listens on loopback. Neither says anything about Redis or WeChat: a restart
  # mends neither. Nor has it a readiness probe, which would be the whole pod's.
  startupProbe:
    exec: {command: [/usr/bin/wch-sidecar, health, --live]}
    periodSeconds: 1
    timeoutSeconds: 5
    failureThreshold: 60
  livenessProbe:
    exec: {command: [/usr/bin/wch-sidecar, health, --live]}
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 3
  resources: {{- toYaml .Values.resources | nindent 4 }}
  {{- include "wch-sidecar.security" . | nindent 2 }}
  volumeMounts:
    {{- include "wch-sidecar.mounts" . | nindent 4 }}
- name: wch-wait
  image: {{ include "wch-sidecar.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [wait, --max, 2m]
  resources: {{- toYaml .Values.resources | nindent 4 }}
  {{- include "wch-sidecar.security" . | nindent 2 }}
{{- end -}}

{{/* An init container that waits until a replica at the Service knows a live token. No secret. */}}
{{- define "wch-sidecar.wait" -}}
{{- $service := printf "%s:%v" (include "wch-sidecar.name" .) .Values.central.service.port -}}
- name: wch-wait
  image: {{ include "wch-sidecar.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [wait, --max, 2m]
  env:
    - {name: WCH_HTTP_LISTEN, value: {{ .Values.waitFor | default $service | quote }}}
  resources: {{- toYaml .Values.resources | nindent 4 }}
  {{- include "wch-sidecar.security" . | nindent 2 }}
{{- end -}}
