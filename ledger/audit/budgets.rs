//! What budgets have to say, as rows of the audit log: changes with the transaction that makes them, refusals sampled.

use async_trait::async_trait;
use engine::state::Transaction;
use engine::{Result, Scope};
use serde_json::json;

use super::{Audit, Entry};
use crate::budget::{Action, Author, Change, EVERYBODY, Key, Refusal, Trail};

/// Whose matter a budget is: one of everybody's is the platform's own.
fn owner(tenant: &str) -> Option<&str> {
    (tenant != EVERYBODY).then_some(tenant)
}

#[async_trait]
impl Trail for Audit {
    async fn changed(&self, transaction: &mut Transaction, changes: &[Change], author: &Author) -> Result<()> {
        let platform = || Scope::platform(&author.name);
        let scope = author.tenant.as_deref().map_or_else(platform, |tenant| Scope::tenant(tenant, &author.name));
        let entry = |change: &Change| {
            let action = match change.action {
                Action::Created => "budget.create",
                Action::Changed => "budget.change",
                Action::Deleted => "budget.delete",
                Action::Unchanged => return None,
            };
            let entry = Entry::new(&scope, action, format!("{}/{}", change.tenant, change.name));
            let detail = json!({"kind": change.kind, "begins_anew": change.begins_anew});
            Some(entry.of_tenant(owner(&change.tenant)).with(detail))
        };
        self.record_in(transaction, changes.iter().filter_map(entry).collect()).await.map(|_| ())
    }

    async fn refused(&self, request: &Key, refusal: &Refusal) {
        let (tenant, id) = request;
        let entry = Entry::new(&Scope::tenant(tenant, "budgets"), "budget.reserve", &**id);
        let detail = json!({
            "budget": format!("{}/{}", refusal.tenant, refusal.budget), "unit": refusal.unit.to_string(),
            "asked": refusal.unit.text(refusal.asked), "limit": refusal.unit.text(refusal.limit),
        });
        self.denied(entry.because(refusal.to_string()).with(detail)).await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use engine::{NoRedaction, Settings, State};

    use super::super::tests::ground::Hand;
    use super::*;
    use crate::budget::{Reason, Unit};
    use crate::directory::OsDice;

    #[tokio::test]
    async fn changes_and_refusals_are_rows() {
        let data = tempfile::tempdir().unwrap();
        let state = Arc::new(State::open(&Settings::new(data.path())).await.unwrap());
        let hand = Arc::new(Hand::default());
        let audit = Audit::start(state.clone(), hand, Arc::new(OsDice), Arc::new(NoRedaction)).await.unwrap();
        let change = |tenant: &str, action| Change {
            kind: "budget".to_owned(),
            tenant: tenant.to_owned(),
            name: "tokens".to_owned(),
            action,
            begins_anew: false,
        };
        let changes =
            [change("acme", Action::Created), change(EVERYBODY, Action::Deleted), change("acme", Action::Unchanged)];
        let mut transaction = state.transaction().await.unwrap();
        audit.changed(&mut transaction, &changes, &Author { name: "ops".to_owned(), tenant: None }).await.unwrap();
        transaction.commit().await.unwrap();
        let refusal = Refusal {
            tenant: EVERYBODY.into(),
            budget: "tokens".into(),
            unit: Unit::Tokens,
            limit: 10,
            spent: 10,
            reserved: 0,
            asked: 1,
            reason: Reason::Spent,
            resets_us: None,
            retry_after_us: None,
        };
        for request in 0..20 {
            audit.refused(&("acme".into(), format!("r{request}").into()), &refusal).await;
        }
        audit.close().await;
        let sql = "SELECT action, tenant, outcome, CAST(sum(occurrences) AS BIGINT) AS sum FROM audit
            GROUP BY action, tenant, outcome ORDER BY action";
        let rows = state.fetch(sql, &[]).await.unwrap();
        let rows = rows.iter().map(|row| {
            let words = (row.get::<String>("action").unwrap(), row.get::<Option<String>>("tenant").unwrap());
            (words, row.get::<String>("outcome").unwrap(), row.get::<i64>("sum").unwrap())
        });
        let wanted = [
            ("budget.create", Some("acme"), "done", 1),
            ("budget.delete", None, "done", 1),
            ("budget.reserve", Some("acme"), "denied", 20),
        ];
        let wanted = wanted.map(|(action, tenant, outcome, sum)| {
            ((action.to_owned(), tenant.map(str::to_owned)), outcome.to_owned(), sum)
        });
        assert_eq!(rows.collect::<Vec<_>>(), wanted);
    }
}
