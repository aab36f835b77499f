SELECT p.tenant,
       replace(p.organization, ':', '%3A') || ':' || p.repository_id || ':' || CAST(p.pull_request_id AS VARCHAR) AS key,
       greatest(p._seq, coalesce(c.seq, 0)) AS seq,
       'Pull request ' || CAST(p.pull_request_id AS VARCHAR) || ': ' || coalesce(p.title, '') AS title,
       coalesce(p.repository, p.repository_id) || '/' || CAST(p.pull_request_id AS VARCHAR) AS path,
       p.url AS uri,
       'Title: ' || coalesce(p.title, '') || chr(10)
         || coalesce('Repository: ' || p.repository || chr(10), '')
         || coalesce('Status: ' || p.status || chr(10), '')
         || coalesce('Created by: ' || p.created_by || chr(10), '')
         || coalesce('From: ' || p.source_ref_name || chr(10), '')
         || coalesce('Into: ' || p.target_ref_name || chr(10), '')
         || coalesce(chr(10) || 'Description: ' || nullif(p.description, '') || chr(10), '')
         || coalesce(chr(10) || 'Comments: ' || chr(10) || c.said, '') AS text,
       'work_item' AS format,
       CAST(NULL AS VARCHAR) AS language, CAST(NULL AS VARCHAR) AS acl, CAST(NULL AS VARCHAR) AS content_hash,
       p.version AS version
FROM ado_pull_request p
LEFT JOIN (
  SELECT tenant, organization, repository_id, pull_request_id, max(_seq) AS seq,
         string_agg(coalesce(author, 'somebody') || ' wrote: ' || content, chr(10) || chr(10) ORDER BY thread_id, id) AS said
  FROM ado_pull_request_comment
  WHERE content IS NOT NULL AND NOT coalesce(is_deleted, false) AND coalesce(comment_type, 'text') <> 'system'
  GROUP BY tenant, organization, repository_id, pull_request_id
) c ON c.tenant = p.tenant AND c.organization = p.organization AND c.repository_id = p.repository_id
   AND c.pull_request_id = p.pull_request_id
