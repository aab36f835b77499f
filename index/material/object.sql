SELECT tenant,
       replace(cluster, ':', '%3A') || ':' || api_group || ':' || kind || ':' || namespace || ':' || name AS key,
       _seq AS seq,
       kind || ' ' || CASE WHEN namespace = '' THEN name ELSE namespace || '/' || name END || ' in ' || cluster AS title,
       cluster || '/' || CASE WHEN namespace = '' THEN '' ELSE namespace || '/' END || kind || '/' || name || '.yaml' AS path,
       CAST(NULL AS VARCHAR) AS uri,
       object AS text,
       'yaml' AS format,
       CAST(NULL AS VARCHAR) AS language, CAST(NULL AS VARCHAR) AS acl, CAST(NULL AS VARCHAR) AS content_hash,
       generation AS version
FROM k8s_object
WHERE owner_kind IS NULL
  AND kind NOT IN ('Secret', 'Pod', 'ReplicaSet', 'Endpoints', 'EndpointSlice', 'Lease', 'ControllerRevision', 'Event', 'Node',
                   'TokenReview', 'CertificateSigningRequest', 'PodMetrics', 'NodeMetrics')
