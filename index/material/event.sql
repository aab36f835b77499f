SELECT tenant,
       replace(cluster, ':', '%3A') || ':' || involved_namespace || ':' || involved_kind || ':' || involved_name || ':' || reason AS key,
       max(seq) AS seq,
       reason || ' of ' || involved_kind || ' '
         || CASE WHEN involved_namespace = '' THEN involved_name ELSE involved_namespace || '/' || involved_name END
         || ' in ' || cluster AS title,
       cluster || '/' || involved_namespace || '/' || involved_kind || '/' || involved_name || '/' || reason AS path,
       CAST(NULL AS VARCHAR) AS uri,
       'Reason: ' || reason || chr(10)
         || 'Object: ' || involved_kind || ' ' || involved_name || chr(10)
         || 'Namespace: ' || involved_namespace || chr(10)
         || 'Cluster: ' || cluster || chr(10)
         || 'Times: ' || CAST(sum(times) AS VARCHAR) || chr(10)
         || coalesce('First seen: ' || CAST(min(first_seen) AS VARCHAR) || chr(10), '')
         || coalesce('Last seen: ' || CAST(max(last_seen) AS VARCHAR) || chr(10), '')
         || coalesce(chr(10) || 'Note: ' || max(note) || chr(10), '') AS text,
       'work_item' AS format,
       CAST(NULL AS VARCHAR) AS language, CAST(NULL AS VARCHAR) AS acl, CAST(NULL AS VARCHAR) AS content_hash,
       CAST(sum(times) AS BIGINT) AS version
FROM (
  SELECT tenant, cluster, coalesce(involved_namespace, '') AS involved_namespace, coalesce(involved_kind, '') AS involved_kind,
         coalesce(involved_name, '') AS involved_name, coalesce(reason, '') AS reason, name,
         max("count") AS times, max(_seq) AS seq, min(first_seen) AS first_seen, max(last_seen) AS last_seen, max(note) AS note
  FROM k8s_event
  WHERE event_type = 'Warning'
  GROUP BY 1, 2, 3, 4, 5, 6, 7
) seen
GROUP BY tenant, cluster, involved_namespace, involved_kind, involved_name, reason
