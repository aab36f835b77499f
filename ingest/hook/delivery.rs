//! One delivery: what it is called, what it says happened and to what; and the frame that makes it durable.

use engine::reject::{REJECT, Reject};
use engine::{Frame, Idempotency, Kind, Result, Rows, Scope, Value as Cell};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::alert::{self, Alert};
use super::{HOOK_EVENT, Scheme, Sender};
use crate::json::{self, Reason};
use crate::{ado, bounded};

/// Bytes of a delivery's id; a longer one is its hash.
const ID_BYTES_MAX: usize = 200;
/// Headers that name a delivery of a sender who signs with a shared secret.
const ID_HEADERS: [&str; 3] = ["webhook-id", "x-idempotency-key", "idempotency-key"];

/// A body as it came.
#[derive(Debug, Clone)]
pub struct Body {
    /// What it says.
    value: Value,
    bytes: usize,
    sha256: [u8; 32],
}

impl Body {
    /// Reads a body. Whoever may send texts that are no JSON has them kept as a JSON text.
    pub fn read(raw: &[u8], is_form: bool, scheme: Scheme) -> std::result::Result<Body, Reason> {
        let text = std::str::from_utf8(raw).map_err(|e| format!("it is not UTF-8: {e}"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let form = if is_form { form_payload(text) } else { None };
        let value = match bounded::json(form.as_deref().unwrap_or(text)) {
            Ok(value) => value,
            Err(_) if scheme == Scheme::Hmac => Value::String(text.to_owned()),
            Err(error) => return Err(format!("it is no JSON: {error}")),
        };
        Ok(Body { value, bytes: raw.len(), sha256: Sha256::digest(raw).into() })
    }

    /// A body that was kept, with its size and hash as received.
    pub fn kept(text: &str, bytes: i64, sha256: &str) -> Result<Body> {
        let broken = |what: String| engine::Error::new(Kind::Corrupt, format!("a kept delivery: {what}"));
        let value = bounded::json(text).map_err(|e| broken(e.to_string()))?;
        let mut hash = [0; 32];
        hex::decode_to_slice(sha256, &mut hash).map_err(|e| broken(e.to_string()))?;
        Ok(Body { value, bytes: usize::try_from(bytes).unwrap_or(0), sha256: hash })
    }
}

/// GitHub's other content type: `payload=` and the document.
fn form_payload(text: &str) -> Option<String> {
    url::form_urlencoded::parse(text.as_bytes())
        .find(|(name, _)| name == "payload")
        .map(|(_, value)| value.into_owned())
}

/// What a delivery says.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What tells it from others.
    pub id: String,
    /// What happened.
    pub event: String,
    /// To what.
    pub subject: Option<String>,
    /// The delivery that is replayed.
    pub replay_of: Option<String>,
    alerts: Vec<Alert>,
    rejects: Vec<Reject>,
    /// Its id says all that there is to say: another body is the same delivery.
    means_its_id: bool,
}

/// Reads a delivery of a sender.
pub fn read(
    sender: &Sender,
    header: &dyn Fn(&str) -> Option<String>,
    body: &Body,
) -> std::result::Result<Delivery, Reason> {
    let value = &body.value;
    let word =
        |path: &[&str]| json::text(value, path).ok().flatten().filter(|text| !text.is_empty()).map(str::to_owned);
    let named = |name: &Option<String>| name.as_deref().and_then(header).filter(|text| !text.is_empty());
    let by_hash = || format!("body-{}", hex::encode(body.sha256));
    let mut delivery = Delivery {
        id: named(&sender.delivery_header).unwrap_or_default(),
        event: named(&sender.event_header).unwrap_or_default(),
        subject: None,
        replay_of: None,
        alerts: Vec::new(),
        rejects: Vec::new(),
        means_its_id: false,
    };
    let (id, event) = match sender.scheme {
        Scheme::GitHub => {
            let kind = header("x-github-event").ok_or("the header x-github-event is missing")?;
            let id = header("x-github-delivery").ok_or("the header x-github-delivery is missing")?;
            let number = ["pull_request", "issue", "workflow_run"].iter().find_map(|of| {
                json::int(value, &[*of, if *of == "workflow_run" { "run_number" } else { "number" }]).ok().flatten()
            });
            let number = number.map_or(String::new(), |number| format!("#{number}"));
            delivery.subject = word(&["repository", "full_name"]).map(|name| name + &number);
            (id, word(&["action"]).map_or(kind.clone(), |action| format!("{kind}.{action}")))
        }
        Scheme::Alertmanager => {
            (delivery.alerts, delivery.rejects) = Alert::all(value)?;
            delivery.means_its_id = true;
            delivery.subject = word(&["commonLabels", "alertname"]).or_else(|| word(&["groupKey"]));
            (group(value, &delivery.alerts), word(&["status"]).ok_or("it has no status")?)
        }
        Scheme::ArgoCd => {
            let app = [&["app", "metadata", "name"][..], &["app"], &["application"], &["metadata", "name"]];
            delivery.subject = app.iter().find_map(|path| word(path));
            let event = [&["event"][..], &["trigger"], &["type"], &["status"]].iter().find_map(|path| word(path));
            (by_hash(), event.unwrap_or_else(|| "notification".to_owned()))
        }
        Scheme::Ado => {
            let event = word(&["eventType"]).ok_or("it is no event of Azure DevOps: eventType is missing")?;
            let notification = json::int(value, &["notificationId"]).ok().flatten();
            let id = match (word(&["subscriptionId"]), notification, word(&["id"])) {
                (Some(subscription), Some(notification), _) => format!("{subscription}/{notification}"),
                (_, _, Some(id)) => id,
                _ => by_hash(),
            };
            delivery.subject = word(&["message", "text"]);
            (id, event)
        }
        Scheme::Hmac => {
            let id = ID_HEADERS.iter().find_map(|name| header(name)).filter(|id| !id.is_empty());
            delivery.subject = word(&["subject"]);
            let event = [&["type"][..], &["event"]].iter().find_map(|path| word(path));
            (id.unwrap_or_else(by_hash), event.unwrap_or_else(|| "message".to_owned()))
        }
    };
    if delivery.id.is_empty() {
        delivery.id = id;
    }
    if delivery.event.is_empty() {
        delivery.event = event;
    }
    if delivery.id.len() > ID_BYTES_MAX {
        delivery.id = format!("id-{}", hex::encode(Sha256::digest(&delivery.id)));
    }
    Ok(delivery)
}

/// Names a notification of Alertmanager by its group and by where each of its alerts stands: a repetition of the same is the
/// same, one more alert is another.
fn group(body: &Value, alerts: &[Alert]) -> String {
    let mut lives: Vec<String> = alerts.iter().map(Alert::life).collect();
    lives.sort_unstable();
    let mut hash = Sha256::new();
    let group = json::text(body, &["groupKey"]).ok().flatten().unwrap_or_default();
    for part in std::iter::once(group).chain(lives.iter().map(String::as_str)) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    format!("group-{}", hex::encode(&hash.finalize()[..16]))
}

/// The frame of a delivery; its key makes a second one harmless. What Azure DevOps sends becomes rows of its own tables, too.
pub fn frame(sender: &Sender, delivery: &Delivery, body: &Body, received_us: i64) -> Result<Frame> {
    let mut rows = Rows::new(&HOOK_EVENT);
    rows.set("tenant", sender.tenant.as_str())
        .set("hook", sender.name.as_str())
        .set("scheme", sender.scheme.name())
        .set("event", delivery.event.as_str())
        .set("delivery_id", delivery.id.as_str())
        .set("subject", delivery.subject.clone())
        .set("body", body.value.to_string())
        .set("body_bytes", i64::try_from(body.bytes).unwrap_or(i64::MAX))
        .set("body_sha256", hex::encode(body.sha256))
        .set("replay_of", delivery.replay_of.clone())
        .set("received_at", Cell::Time(received_us));
    rows.end_row()?;
    let mut frame = Frame::new(format!("hook/{}", sender.name));
    frame.push_rows(&mut rows);
    let mut alerts = alert::rows();
    for alert in &delivery.alerts {
        let group = json::text(&body.value, &["groupKey"]).ok().flatten();
        alert.write(&sender.tenant, &sender.name, group, &mut alerts).map_err(engine::Error::invalid)?;
    }
    frame.push_rows(&mut alerts);
    let mut rejects = Rows::new(&REJECT);
    delivery.rejects.iter().for_each(|reject| reject.write(&sender.tenant, &mut rejects));
    frame.push_rows(&mut rejects);
    if sender.scheme == Scheme::Ado {
        let scope = Scope::tenant(&sender.tenant, &format!("hook {}", sender.name));
        let parsed = ado::event(body.value.to_string().as_bytes(), &scope, None)?;
        frame.batches.extend(parsed.into_frame("ado/hook", &scope).batches);
    }
    let body_hash = if delivery.means_its_id { Sha256::digest(&delivery.id).into() } else { body.sha256 };
    let key = format!("hook:{}/{}/{}", sender.tenant, sender.name, delivery.id);
    frame.idempotency = Some(Idempotency { key, body_hash });
    Ok(frame)
}

/// The frame of a body that says nothing that its scheme knows: it is kept with the reason.
pub fn refused(sender: &Sender, reason: &str, raw: &[u8]) -> Frame {
    let mut rows = Rows::new(&REJECT);
    let place = Some(format!("hook {}", sender.name));
    Reject { kind: "hook", reason: reason.to_owned(), place, body: raw.to_vec() }.write(&sender.tenant, &mut rows);
    let mut frame = Frame::new(format!("hook/{}", sender.name));
    frame.push_rows(&mut rows);
    frame
}
