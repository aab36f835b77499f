SELECT w.tenant,
       replace(w.organization, ':', '%3A') || ':' || CAST(w.id AS VARCHAR) AS key,
       greatest(w._seq, coalesce(c.seq, 0)) AS seq,
       coalesce(w.work_item_type, 'Work item') || ' ' || CAST(w.id AS VARCHAR) || ': ' || coalesce(w.title, '') AS title,
       coalesce(w.project, '') || '/' || CAST(w.id AS VARCHAR) AS path,
       replace(replace(w.url, '/_apis/wit/workItems/', '/_workitems/edit/'), '/_apis/wit/workitems/', '/_workitems/edit/') AS uri,
       'Title: ' || coalesce(w.title, '') || chr(10)
         || coalesce('State: ' || w.state || chr(10), '')
         || coalesce('Reason: ' || w.reason || chr(10), '')
         || coalesce('Assigned to: ' || w.assigned_to || chr(10), '')
         || coalesce('Area: ' || w.area_path || chr(10), '')
         || coalesce('Iteration: ' || w.iteration_path || chr(10), '')
         || coalesce('Severity: ' || w.severity || chr(10), '')
         || coalesce('Tags: ' || nullif(w.tag_names, '') || chr(10), '')
         || coalesce(chr(10) || 'Description: ' || nullif(w.fields ->> 'System.Description', '') || chr(10), '')
         || coalesce(chr(10) || 'Acceptance criteria: ' || nullif(w.fields ->> 'Microsoft.VSTS.Common.AcceptanceCriteria', '') || chr(10), '')
         || coalesce(chr(10) || 'Steps to reproduce: ' || nullif(w.fields ->> 'Microsoft.VSTS.TCM.ReproSteps', '') || chr(10), '')
         || coalesce(chr(10) || 'Comments: ' || chr(10) || c.said, '') AS text,
       'work_item' AS format,
       CAST(NULL AS VARCHAR) AS language, CAST(NULL AS VARCHAR) AS acl, CAST(NULL AS VARCHAR) AS content_hash,
       w.rev AS version
FROM ado_work_item w
LEFT JOIN (
  SELECT tenant, organization, work_item_id, max(_seq) AS seq,
         string_agg(coalesce(created_by, 'somebody') || ' wrote: ' || text, chr(10) || chr(10) ORDER BY created_date, comment_id) AS said
  FROM ado_work_item_comment
  WHERE text IS NOT NULL AND NOT coalesce(is_deleted, false)
  GROUP BY tenant, organization, work_item_id
) c ON c.tenant = w.tenant AND c.organization = w.organization AND c.work_item_id = w.id
WHERE NOT w.is_deleted
