//! `POST /control/policy/audit`: the server that owns the store audits its objects. When the caller goes away, the audit
//! stops; what it had found is kept, and what it had not reached stays as the audit before left it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ledger::policy::AuditReport;

use crate::house::House;
use crate::http::problem::Problem;
use crate::reach::AuditWish;

/// Audits, and answers with what came of it.
pub async fn audit(State(house): State<Arc<House>>, Json(wish): Json<AuditWish>) -> Result<Json<AuditReport>, Problem> {
    Ok(Json(house.audit(&wish).await?))
}
