//! Questions over the Kubernetes tables that everybody asks.

use engine::View;

/// Containers under the columns of the container alone.
pub static K8S_CONTAINER: View = View {
    name: "k8s_container",
    doc: "Containers of pods: image, requests, limits, restarts, state, why the last run ended (`OOMKilled`). The container's columns of `k8s_pod`.",
    sql:
        "SELECT tenant, cluster, namespace, pod, pod_uid, container, container_kind, node, workload_kind, workload_name,
    image, image_id, cpu_request_cores, cpu_limit_cores, memory_request_bytes, memory_limit_bytes,
    ephemeral_storage_request_bytes, ephemeral_storage_limit_bytes, gpus, ready, restart_count, state, state_reason,
    state_message, started_at, finished_at, exit_code, last_termination_reason, last_termination_exit_code,
    last_terminated_at
FROM k8s_pod p",
};

/// The workload above each pod, by owner references.
pub static K8S_POD_OWNER: View = View {
    name: "k8s_pod_owner",
    doc: "The chain of owners above each pod, by the owner references of the objects themselves: pod, its owner (a ReplicaSet, a Job), that one's owner (a Deployment, a CronJob, a Rollout), and the last of them as the workload.",
    sql: "SELECT p.tenant, p.cluster, p.namespace, p.name AS pod, p.uid AS pod_uid,
    p.owner_kind, p.owner_name, o.owner_kind AS owner_2_kind, o.owner_name AS owner_2_name,
    w.owner_kind AS owner_3_kind, w.owner_name AS owner_3_name,
    coalesce(w.owner_kind, o.owner_kind, p.owner_kind, 'Pod') AS workload_kind,
    coalesce(w.owner_name, o.owner_name, p.owner_name, p.name) AS workload_name
FROM k8s_object p
LEFT JOIN k8s_object o ON o.tenant = p.tenant AND o.cluster = p.cluster AND o.namespace = p.namespace
    AND o.kind = p.owner_kind AND o.name = p.owner_name
LEFT JOIN k8s_object w ON w.tenant = o.tenant AND w.cluster = o.cluster AND w.namespace = o.namespace
    AND w.kind = o.owner_kind AND w.name = o.owner_name
WHERE p.kind = 'Pod' AND p.api_group = ''",
};
