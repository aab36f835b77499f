//! What the operator wants of messages and deliveries: silences, acknowledgements, replays. Each change is in the audit log.

use engine::Result;
use engine::clock::rfc3339;
use jobs::actions::notice::{self, NewSilence, Silence};
use ledger::principal::Caller;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::hooks::replay::ReplayWish;
use crate::house::House;

/// A wish.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum NoticeWish {
    /// Tells nobody of some rows for a while.
    AddSilence(NewSilence),
    /// Ends a silence now.
    ExpireSilence {
        /// Its id.
        id: String,
    },
    /// Says that somebody knows of a row.
    Acknowledge {
        /// The rule.
        rule: String,
        /// The row's key: a list, or its one cell.
        key: Value,
        /// Who knows.
        who: String,
        /// What else is to be said.
        why: Option<String>,
    },
    /// Tells rules of deliveries once more.
    Replay(ReplayWish),
}

impl House {
    /// Grants a wish.
    pub async fn notice(&self, wish: &NoticeWish) -> Result<Value> {
        let (state, now_us) = (self.store.state(), self.store.clock().now_us());
        let (action, subject, answer) = match wish {
            NoticeWish::AddSilence(new) => {
                let made = Silence::add(state, new, now_us).await?;
                let answer = json!({
                    "id": made.id, "rule": made.rule, "cells": made.cells, "starts_at": rfc3339(made.starts_us),
                    "ends_at": rfc3339(made.ends_us), "who": made.who, "why": made.why,
                });
                ("silence.add", made.id, answer)
            }
            NoticeWish::ExpireSilence { id } => {
                Silence::expire(state, id, now_us).await?;
                self.runner().wake();
                ("silence.expire", id.clone(), json!({ "expired": id }))
            }
            NoticeWish::Acknowledge { rule, key, who, why } => {
                let key = if key.is_array() { key.clone() } else { json!([key]) };
                notice::acknowledge(state, rule, &key.to_string(), who, why.as_deref(), now_us).await?;
                ("rule.acknowledge", rule.clone(), json!({ "acknowledged": key, "rule": rule, "who": who }))
            }
            NoticeWish::Replay(wish) => {
                let replayed = self.replay_hooks(wish).await?;
                ("hook.replay", wish.hook.clone().unwrap_or_else(|| "deliveries".to_owned()), replayed)
            }
        };
        self.audit.record(Caller::operator().entry(action, subject.as_str()).with(json!({ "answer": answer }))).await?;
        Ok(answer)
    }
}
