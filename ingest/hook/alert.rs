//! Alerts as Alertmanager delivers them (version 4 of its web hook).

use engine::reject::Reject;
use engine::{Rows, Value as Cell};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::HOOK_ALERT;
use crate::json::{self, Reason};

/// Alerts of one delivery.
const ALERTS_MAX: usize = 10_000;

/// One alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    fingerprint: String,
    is_resolved: bool,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    generator_url: Option<String>,
    starts_us: i64,
    ends_us: Option<i64>,
}

impl Alert {
    /// The alerts of a delivery, and those that are none.
    pub fn all(body: &Value) -> Result<(Vec<Alert>, Vec<Reject>), Reason> {
        let alerts = json::list(body, &["alerts"])?.ok_or("it has no alerts: is it Alertmanager that sends?")?;
        if alerts.len() > ALERTS_MAX {
            return Err(format!("it has more than {ALERTS_MAX} alerts; set max_alerts in Alertmanager"));
        }
        let (mut read, mut rejects) = (Vec::with_capacity(alerts.len()), Vec::new());
        for (at, alert) in alerts.iter().enumerate() {
            match Alert::of(alert) {
                Ok(alert) => read.push(alert),
                Err(reason) => {
                    let (place, body) = (Some(format!("alerts[{at}]")), alert.to_string().into_bytes());
                    rejects.push(Reject { kind: "hook", reason, place, body });
                }
            }
        }
        Ok((read, rejects))
    }

    fn of(alert: &Value) -> Result<Alert, Reason> {
        let labels = json::object(alert, &["labels"])?.cloned().unwrap_or_default();
        let is_resolved = match json::text(alert, &["status"])? {
            Some("resolved") => true,
            Some("firing") => false,
            other => return Err(format!("its status is neither firing nor resolved: {other:?}")),
        };
        let fingerprint = match json::text(alert, &["fingerprint"])? {
            Some(given) if !given.is_empty() => given.to_owned(),
            // Alertmanagers before 0.19 give none.
            _ => hex::encode(&Sha256::digest(Value::Object(labels.clone()).to_string())[..8]),
        };
        let starts_us = json::time(alert, &["startsAt"])?.ok_or("it has no startsAt")?;
        let ends_us = if is_resolved { json::time(alert, &["endsAt"])? } else { None };
        Ok(Alert {
            fingerprint,
            is_resolved,
            labels,
            annotations: json::object(alert, &["annotations"])?.cloned().unwrap_or_default(),
            generator_url: json::text(alert, &["generatorURL"])?.map(str::to_owned),
            starts_us,
            // A second start is newer than the first end.
            ends_us: ends_us.map(|ends| ends.max(starts_us)),
        })
    }

    /// What tells the state of an alert from its others.
    pub fn life(&self) -> String {
        let ends = self.ends_us.map_or(String::new(), |ends| ends.to_string());
        format!(
            "{}/{}/{}/{ends}",
            self.fingerprint,
            if self.is_resolved { "resolved" } else { "firing" },
            self.starts_us
        )
    }

    /// Adds its row.
    pub fn write(&self, tenant: &str, hook: &str, group_key: Option<&str>, rows: &mut Rows) -> Result<(), Reason> {
        let label = |name: &str| self.labels.get(name).and_then(Value::as_str).map(str::to_owned);
        let noted = |name: &&str| self.annotations.get(*name).and_then(Value::as_str).map(str::to_owned);
        rows.set("tenant", tenant)
            .set("hook", hook)
            .set("fingerprint", self.fingerprint.as_str())
            .set("status", if self.is_resolved { "resolved" } else { "firing" })
            .set("alertname", label("alertname"))
            .set("severity", label("severity"))
            .set("summary", ["summary", "description", "message"].iter().find_map(noted))
            .set("labels", Value::Object(self.labels.clone()).to_string())
            .set("annotations", Value::Object(self.annotations.clone()).to_string())
            .set("generator_url", self.generator_url.clone())
            .set("group_key", group_key.map(str::to_owned))
            .set("starts_at", Cell::Time(self.starts_us))
            .set("ends_at", self.ends_us.map(Cell::Time))
            .set("changed_at", Cell::Time(self.ends_us.unwrap_or(self.starts_us)));
        rows.end_row().map_err(|e| e.to_string())
    }
}

/// An empty batch of alerts.
pub fn rows() -> Rows {
    Rows::new(&HOOK_ALERT)
}
