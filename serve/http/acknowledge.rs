//! `GET /acknowledge/{job}/{until}/{signature}` and `POST` to the same: the link in a message, by which somebody says that its
//! rows are known. It needs no key, for the link is signed and ends. To open it changes nothing: programs that look at links
//! before people do acknowledge nothing.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use engine::{Error, Kind, Scope};
use jobs::actions::link::{Links, Unfit};
use jobs::actions::{Message, notice, sent};
use ledger::audit::Entry;
use serde::Deserialize;
use serde_json::json;

use super::problem::Problem;
use crate::house::House;

/// Rows that the page shows.
const ROWS_SHOWN_MAX: usize = 50;
/// Characters of a name that somebody gives.
const NAME_CHARS_MAX: usize = 100;
/// Nothing is loaded, nothing frames the page, and the form goes nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";

/// The parts of a link.
type Parts = (String, i64, String);

/// What the page sends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// Who somebody says to be; nobody proves it.
    #[serde(default)]
    name: String,
}

/// `GET`: what would be acknowledged, and a button.
pub async fn show(State(house): State<Arc<House>>, Path(parts): Path<Parts>) -> Response {
    match found(&house, &parts).await {
        Ok(message) => page(&asking(&message)),
        Err(problem) => problem.into_response(),
    }
}

/// `POST`: it is acknowledged.
pub async fn acknowledge(
    State(house): State<Arc<House>>,
    Path(parts): Path<Parts>,
    Form(said): Form<Said>,
) -> Result<Response, Problem> {
    let message = found(&house, &parts).await?;
    let (state, now_us) = (house.store.state(), house.store.clock().now_us());
    let name: String = said.name.trim().chars().filter(|sign| !sign.is_control()).take(NAME_CHARS_MAX).collect();
    let link = format!("the link in {}", message.channel);
    let who = if name.is_empty() { link } else { format!("{name}, by {link}") };
    let who = state.redactor().redact(&who).into_owned();
    let mut open = state.transaction().await?;
    let mut known = 0;
    for row in &message.rows {
        known += usize::from(notice::acknowledge_life(&mut open, &message.rule, row, &who, now_us).await?);
    }
    if known == 0 {
        let what = "none of its rows fires any more; there is nothing to acknowledge";
        return Err(Error::new(Kind::Conflict, what).into());
    }
    let entry = Entry::new(&Scope::platform("link"), "rule.acknowledge", message.rule.as_str());
    let detail = json!({ "message": parts.0, "channel": message.channel, "rows": known });
    house.audit.record_in(&mut open, vec![entry.with(detail)]).await?;
    open.commit().await?;
    Ok(page(&format!("<p>{known} of {} rows are known now. Nobody else is told of them.</p>", message.rows.len())))
}

/// The message of a link that is ours and still good.
async fn found(house: &House, (job, until_s, signature): &Parts) -> Result<Message, Problem> {
    let nothing = || Problem::new(StatusCode::NOT_FOUND, "not_found", "there is no such link".to_owned());
    let links: &Links = house.links.get().ok_or_else(nothing)?;
    match links.check(job, *until_s, signature, house.store.clock().now_us()) {
        Ok(()) => Ok(sent(house.store.state(), job).await?),
        Err(Unfit::Forged) => Err(nothing()),
        Err(Unfit::Over) => {
            let what = "the time of this link is over; `stellwerk rule ack` does the same".to_owned();
            Err(Problem::new(StatusCode::GONE, "gone", what))
        }
    }
}

fn asking(message: &Message) -> String {
    let mut out = format!("<h1>{}</h1><p>rule {}</p><ul>", escaped(&message.title), escaped(&message.rule));
    for row in message.rows.iter().take(ROWS_SHOWN_MAX) {
        let _ = write!(out, "<li>{}</li>", escaped(&row.message));
    }
    let more = message.rows.len().saturating_sub(ROWS_SHOWN_MAX);
    let more = if more == 0 { String::new() } else { format!("<p>and {more} more</p>") };
    let form = "<form method=\"post\"><label>Your name <input name=\"name\" maxlength=\"100\"></label> \
                <button>Acknowledge</button></form>";
    let _ = write!(out, "</ul>{more}{form}");
    out
}

fn page(body: &str) -> Response {
    let whole = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Acknowledge</title><style>body{{font-family:sans-serif;margin:2em}}</style>{body}</html>"
    );
    let mut response = Html(whole).into_response();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        // The link is a credential: no other site is told of it.
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A text that is nothing but text in HTML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
