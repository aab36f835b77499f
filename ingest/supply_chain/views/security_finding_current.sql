WITH report AS (
  SELECT
    tenant, report_id, stream, seen_at,
    row_number() OVER (PARTITION BY tenant, stream ORDER BY seen_at, place) AS turn,
    count(*) OVER (PARTITION BY tenant, stream) AS turns
  FROM (
    SELECT
      tenant, report_id, _seq AS place, coalesce(observed_at, ingested_at) AS seen_at,
      -- Reports that do not say what they looked at cannot follow each other.
      concat(format, '|', tool, '|', category, '|', target, '|', CASE WHEN target = '' THEN report_id ELSE '' END) AS stream
    FROM security_report
  ) AS dated
),
seen AS (
  SELECT
    f.tenant, f.target, f.fingerprint, r.stream, max(CAST(f.tool AS VARCHAR)) AS tool, min(coalesce(f.first_seen, r.seen_at)) AS first_seen,
    max(r.seen_at) AS last_seen, max(r.turn) AS last_turn, max(r.turns) AS turns, count(*) AS reports
  FROM security_finding f
  JOIN report r ON r.tenant = f.tenant AND r.report_id = f.report_id
  GROUP BY f.tenant, f.target, f.fingerprint, r.stream
),
lasting AS (
  SELECT
    s.tenant, s.target, s.fingerprint, min(s.first_seen) AS first_seen, max(s.last_seen) AS last_seen,
    sum(s.reports) AS reports, count(DISTINCT s.tool) AS tools,
    array_to_string(array_sort(array_agg(DISTINCT s.tool)), ', ') AS tool_names,
    bool_and(s.last_turn < s.turns) AS is_gone, max(g.seen_at) AS gone_at,
    max(concat(CAST(g.seen_at AS VARCHAR), '|', g.report_id)) AS gone_in
  FROM seen s
  LEFT JOIN report g ON g.tenant = s.tenant AND g.stream = s.stream AND g.turn = s.last_turn + 1
  GROUP BY s.tenant, s.target, s.fingerprint
),
latest AS (
  SELECT * FROM (
    SELECT
      f.*,
      row_number() OVER (PARTITION BY f.tenant, f.target, f.fingerprint ORDER BY r.seen_at DESC, f._seq DESC) AS nth
    FROM security_finding f
    JOIN report r ON r.tenant = f.tenant AND r.report_id = f.report_id
  ) AS ranked
  WHERE nth = 1
),
statement AS (
  SELECT
    v.tenant, v.report_id, v.vulnerability, v.subcomponent_key, v.vex_status, v.vex_justification, v.detail, v._seq AS place,
    coalesce(v.issued_at, v.ingested_at) AS said_at,
    -- A CycloneDX link names a component of another document.
    CASE WHEN c.package IS NULL THEN v.product_key WHEN c.version IS NULL THEN c.package
         ELSE concat(c.package, '@', c.version) END AS product_key
  FROM vex_statement v
  LEFT JOIN (SELECT tenant, bom_link, max(package) AS package, max(version) AS version FROM sbom_component
             WHERE bom_link IS NOT NULL GROUP BY tenant, bom_link) AS c
    ON c.tenant = v.tenant AND c.bom_link = v.product
),
told AS (
  SELECT * FROM (
    SELECT
      l.tenant, l.target, l.fingerprint, s.report_id, s.vex_status, s.vex_justification, s.detail,
      row_number() OVER (PARTITION BY l.tenant, l.target, l.fingerprint ORDER BY s.said_at DESC, s.place DESC) AS nth
    FROM latest l
    JOIN statement s ON s.tenant = l.tenant AND s.vulnerability = l.vulnerability
    WHERE (s.product_key = l.component_purl OR s.product_key = l.component_package OR s.product_key = l.target)
      AND (s.subcomponent_key IS NULL OR s.subcomponent_key = l.component_purl OR s.subcomponent_key = l.component_package)
  ) AS ranked
  WHERE nth = 1
)
SELECT
  l.tenant, l.target, l.fingerprint, l.finding_kind, l.rule_id, l.vulnerability, l.aliases, l.cwe_ids, l.severity,
  l.severity_original, l.cvss_score, l.cvss_vector, l.epss_score, l.known_exploited, l.component_purl, l.component_package,
  l.component_name, l.component_version, l.fixed_version, l.resource, l.file, l.line, l.title, l.description, l.remediation,
  l.reference_url, a.tool_names, a.tools, a.reports, a.first_seen, a.last_seen,
  CASE
    WHEN l.state = 'fixed' OR a.is_gone OR t.vex_status = 'fixed' THEN 'fixed'
    WHEN t.vex_status = 'not_affected' OR l.state = 'suppressed' THEN 'suppressed'
    ELSE 'open'
  END AS state,
  CASE WHEN a.is_gone THEN split_part(a.gone_in, '|', 2) WHEN l.state = 'fixed' THEN l.report_id
       WHEN t.vex_status = 'fixed' THEN t.report_id END AS fixed_in,
  CASE WHEN a.is_gone THEN a.gone_at END AS fixed_at,
  coalesce(t.vex_status, l.vex_status) AS vex_status,
  coalesce(t.vex_justification, l.vex_justification) AS vex_justification,
  coalesce(t.detail, l.suppression) AS suppression,
  l.report_id AS last_report_id
FROM latest l
JOIN lasting a ON a.tenant = l.tenant AND a.target = l.target AND a.fingerprint = l.fingerprint
LEFT JOIN told t ON t.tenant = l.tenant AND t.target = l.target AND t.fingerprint = l.fingerprint
