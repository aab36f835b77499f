SELECT
  tenant, -- Whose it is.
  id, -- The exemption.
  scorecard, -- The scorecard.
  entity, -- Who need not pass.
  check_id, -- Which check.
  CASE
    WHEN revoked_at IS NOT NULL THEN 'revoked'
    WHEN decision = 'denied' THEN 'denied'
    WHEN decision = 'approved' AND expires_at <= now() THEN 'expired'
    WHEN decision = 'approved' THEN 'approved'
    ELSE 'pending'
  END AS state, -- Where it stands; it holds while it is `approved`.
  reason, -- Why it was asked for.
  requester, -- Who asked.
  requested_at, -- When.
  days, -- For how many days.
  approver, -- Who decided.
  decided_at, -- When it began, or was denied.
  expires_at, -- When it ends by itself.
  revoked_by, -- Who ended it before.
  revoked_at -- When that was.
FROM score_exemption
