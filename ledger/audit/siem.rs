//! Audit rows as the lines that SIEMs read: ArcSight's CEF, OCSF as JSON, or plainly as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

/// How events are written, one a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// The row as a JSON object.
    Jsonl,
    /// Common Event Format, version 0.
    Cef,
    /// OCSF 1.3, class API Activity (6003).
    Ocsf,
}

/// A row of the log, as it is shown outside.
#[derive(Debug, Clone, Serialize)]
pub struct Event<'a> {
    /// Place in the log.
    pub seq: u64,
    /// Microseconds since 1970, UTC.
    pub at_us: i64,
    /// Whose matter.
    pub tenant: Option<&'a str>,
    /// Who.
    pub actor: Option<&'a str>,
    /// For whom.
    pub on_behalf_of: Option<&'a str>,
    /// About whom.
    pub person: Option<&'a str>,
    /// What.
    pub action: &'a str,
    /// To what.
    pub subject: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
    /// How it ended.
    pub outcome: &'a str,
    /// How often.
    pub occurrences: i64,
    /// The request's trace.
    pub trace_id: Option<&'a str>,
    /// JSON.
    #[serde(skip)]
    pub detail: Option<&'a str>,
    /// The leaf in the tree.
    pub leaf_hash: &'a str,
}

impl Event<'_> {
    /// One line, without its end.
    pub fn line(&self, format: Format) -> String {
        match format {
            Format::Jsonl => self.json().to_string(),
            Format::Cef => self.cef(),
            Format::Ocsf => self.ocsf().to_string(),
        }
    }

    fn detail(&self) -> Json {
        self.detail.map_or(Json::Null, |detail| serde_json::from_str(detail).unwrap_or_else(|_| detail.into()))
    }

    fn json(&self) -> Json {
        let mut event = json!(self);
        event["detail"] = self.detail();
        event
    }

    fn cef(&self) -> String {
        let header = |text: &str| one_line(text).replace('\\', "\\\\").replace('|', "\\|");
        let severity = if self.outcome == "done" { 3 } else { 6 };
        let mut line = format!(
            "CEF:0|Stellwerk|stellwerk|{}|{}|{} {}|{severity}|",
            env!("CARGO_PKG_VERSION"),
            header(self.action),
            header(self.action),
            header(self.outcome),
        );
        let (seq, count, at_ms) =
            (self.seq.to_string(), self.occurrences.to_string(), (self.at_us / 1_000).to_string());
        let labelled = Some::<&str>;
        let fields = [
            ("externalId", Some(seq.as_str())),
            ("rt", Some(&at_ms)),
            ("suser", self.actor),
            ("duser", self.person),
            ("act", Some(self.action)),
            ("outcome", Some(self.outcome)),
            ("reason", self.reason),
            ("cnt", Some(&count)),
            ("cs1Label", self.tenant.and(labelled("tenant"))),
            ("cs1", self.tenant),
            ("cs2Label", labelled("subject")),
            ("cs2", Some(self.subject)),
            ("cs3Label", self.trace_id.and(labelled("traceId"))),
            ("cs3", self.trace_id),
            ("cs4Label", labelled("leafHash")),
            ("cs4", Some(self.leaf_hash)),
            ("cs5Label", self.on_behalf_of.and(labelled("onBehalfOf"))),
            ("cs5", self.on_behalf_of),
            ("msg", self.detail),
        ];
        let value =
            |text: &str| text.replace('\\', "\\\\").replace('=', "\\=").replace('\n', "\\n").replace('\r', "\\r");
        let fields = fields.iter().filter_map(|(name, text)| text.map(|text| format!("{name}={}", value(text))));
        line.push_str(&fields.collect::<Vec<_>>().join(" "));
        line
    }

    fn ocsf(&self) -> Json {
        // The verb is the action's last word: `key.create`.
        let activity = match self.action.rsplit('.').next().unwrap_or_default() {
            "create" | "rotate" | "import" | "ingest" | "commit" => 1,
            "read" | "ask" | "export" | "verify" => 2,
            "apply" | "update" | "change" => 3,
            "delete" | "revoke" | "retire" | "erase" => 4,
            _ => 99,
        };
        let done = self.outcome == "done";
        json!({
            "class_uid": 6003,
            "class_name": "API Activity",
            "category_uid": 6,
            "category_name": "Application Activity",
            "activity_id": activity,
            "type_uid": 600_300 + activity,
            "time": self.at_us / 1_000,
            "count": self.occurrences,
            "severity_id": if done { 1 } else { 3 },
            "status_id": if done { 1 } else { 2 },
            "status": self.outcome,
            "status_detail": self.reason,
            "metadata": {
                "version": "1.3.0",
                "product": {"name": "stellwerk", "vendor_name": "Stellwerk", "version": env!("CARGO_PKG_VERSION")},
                "uid": self.seq.to_string(),
                "tenant_uid": self.tenant,
                "correlation_uid": self.trace_id,
                "log_name": "audit",
            },
            "actor": {"user": {"name": self.actor}, "invoked_by": self.on_behalf_of},
            "api": {"operation": self.action},
            "resources": [{"uid": self.subject, "type": self.action.split('.').next()}],
            "src_endpoint": {},
            "unmapped": {"person": self.person, "detail": self.detail(), "leaf_hash": self.leaf_hash},
        })
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn event() -> Event<'static> {
        Event {
            seq: 7,
            at_us: 1_750_000_000_123_456,
            tenant: Some("acme"),
            actor: Some("ana=1|\\"),
            on_behalf_of: None,
            person: None,
            action: "key.create",
            subject: "k1",
            reason: Some("two\nlines"),
            outcome: "done",
            occurrences: 1,
            trace_id: None,
            detail: Some(r#"{"a":1}"#),
            leaf_hash: "ab",
        }
    }

    #[test]
    fn cef_is_escaped_and_one_line() {
        let line = event().line(Format::Cef);
        assert!(line.starts_with("CEF:0|Stellwerk|stellwerk|"), "{line}");
        assert!(
            line.contains("|key.create|key.create done|3|externalId=7 rt=1750000000123 suser=ana\\=1|\\\\ "),
            "{line}"
        );
        assert!(
            line.contains("reason=two\\nlines") && line.contains("cs1Label=tenant cs1=acme") && !line.contains('\n'),
            "{line}"
        );
        assert!(!line.contains("cs3") && !line.contains("duser"), "{line}");
        let header = Event { action: "a|b\\c\nd", ..event() }.line(Format::Cef);
        assert!(header.contains("|a\\|b\\\\c d|"), "{header}");
    }

    #[test]
    fn ocsf_has_its_class_and_numbers() {
        let read: Json = serde_json::from_str(&event().line(Format::Ocsf)).unwrap();
        assert_eq!(
            (&read["class_uid"], &read["type_uid"], &read["time"]),
            (&json!(6003), &json!(600_301), &json!(1_750_000_000_123_i64))
        );
        assert_eq!((&read["status_id"], &read["unmapped"]["detail"]["a"]), (&json!(1), &json!(1)));
        let denied: Json = serde_json::from_str(&Event { outcome: "denied", ..event() }.line(Format::Ocsf)).unwrap();
        assert_eq!((&denied["status_id"], &denied["severity_id"]), (&json!(2), &json!(3)));
    }

    #[test]
    fn json_has_the_details_as_json() {
        let read: Json = serde_json::from_str(&event().line(Format::Jsonl)).unwrap();
        assert_eq!((&read["seq"], &read["detail"]["a"], &read["actor"]), (&json!(7), &json!(1), &json!("ana=1|\\")));
    }
}
