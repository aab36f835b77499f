WITH pair AS (
  SELECT * FROM (
    SELECT
      tenant, sbom_id, subject, subject_version, coalesce(created_at, ingested_at) AS made_at,
      lag(sbom_id) OVER (PARTITION BY tenant, subject ORDER BY coalesce(created_at, ingested_at), _seq) AS sbom_id_before,
      lag(subject_version) OVER (PARTITION BY tenant, subject ORDER BY coalesce(created_at, ingested_at), _seq) AS subject_version_before
    FROM sbom
    WHERE is_complete AND subject <> ''
  ) AS ordered
  WHERE sbom_id_before IS NOT NULL
),
part AS (
  SELECT tenant, sbom_id, package, coalesce(version, '') AS version, max(licences) AS licences
  FROM sbom_component
  WHERE NOT is_subject AND component_type <> 'file'
  GROUP BY tenant, sbom_id, package, coalesce(version, '')
),
former AS (
  SELECT p.tenant, p.sbom_id, c.package, c.version, c.licences
  FROM pair p JOIN part c ON c.tenant = p.tenant AND c.sbom_id = p.sbom_id_before
),
later AS (
  SELECT p.tenant, p.sbom_id, c.package, c.version, c.licences
  FROM pair p JOIN part c ON c.tenant = p.tenant AND c.sbom_id = p.sbom_id
),
gone AS (
  SELECT o.tenant, o.sbom_id, o.package, o.version, o.licences,
    row_number() OVER (PARTITION BY o.tenant, o.sbom_id, o.package ORDER BY o.version) AS nth
  FROM former o
  LEFT JOIN later n ON n.tenant = o.tenant AND n.sbom_id = o.sbom_id AND n.package = o.package AND n.version = o.version
  WHERE n.package IS NULL
),
come AS (
  SELECT n.tenant, n.sbom_id, n.package, n.version, n.licences,
    row_number() OVER (PARTITION BY n.tenant, n.sbom_id, n.package ORDER BY n.version) AS nth
  FROM later n
  LEFT JOIN former o ON o.tenant = n.tenant AND o.sbom_id = n.sbom_id AND o.package = n.package AND o.version = n.version
  WHERE o.package IS NULL
),
change AS (
  SELECT
    coalesce(g.tenant, c.tenant) AS tenant, coalesce(g.sbom_id, c.sbom_id) AS sbom_id,
    CASE WHEN g.package IS NULL THEN 'added' WHEN c.package IS NULL THEN 'removed' ELSE 'version' END AS change,
    coalesce(g.package, c.package) AS package, nullif(g.version, '') AS version_before, nullif(c.version, '') AS version_after,
    g.licences AS licences_before, c.licences AS licences_after
  FROM gone g
  FULL OUTER JOIN come c
    ON c.tenant = g.tenant AND c.sbom_id = g.sbom_id AND c.package = g.package AND c.nth = g.nth
  UNION ALL
  SELECT o.tenant, o.sbom_id, 'licence' AS change, o.package, nullif(o.version, '') AS version_before,
    nullif(n.version, '') AS version_after, o.licences AS licences_before, n.licences AS licences_after
  FROM former o
  JOIN later n ON n.tenant = o.tenant AND n.sbom_id = o.sbom_id AND n.package = o.package AND n.version = o.version
  WHERE o.licences IS DISTINCT FROM n.licences
)
SELECT
  p.tenant, p.subject, p.sbom_id_before, p.sbom_id, p.subject_version_before, p.subject_version, p.made_at,
  c.change, c.package, c.version_before, c.version_after, c.licences_before, c.licences_after
FROM pair p
JOIN change c ON c.tenant = p.tenant AND c.sbom_id = p.sbom_id
