//! A message to people. To a channel it goes at once; by a route it becomes a job a channel, and, while the row fires and
//! nobody acknowledges it, jobs for those who are told later. Silenced rows wait until the silence is over.

mod email;
mod fan_out;
mod hook;
mod slack;
mod smtp;
mod teams;
mod told;

use engine::{Error, Kind, State};

use super::settings::Channel;
use super::world::{World, ended, failed};
use super::{EMAIL, NOTIFY, SLACK, TEAMS, notice};
use crate::queue::{Claimed, Ended};
use told::Told;

/// Jobs that tell somebody later.
pub(super) const ESCALATE: &str = "escalate";

/// Jobs that are done here.
pub(super) const KINDS: &[&str] = &["notify", "teams", "slack", "email", ESCALATE];

pub(super) async fn act(world: &World, job: &Claimed) -> Result<Ended, Ended> {
    let mut told = Told::of(&job.arguments);
    if let Some(inside) = &world.inside {
        let state = inside.store.state();
        let of = |error: engine::Error| ended(&error.context("look for silences and acknowledgements"));
        if told.only_open {
            notice::retain_open(state, &told.rule, &mut told.rows).await.map_err(of)?;
            if told.rows.is_empty() {
                return Ok(done("nobody", "the rows are gone or acknowledged"));
            }
        }
        let now_us = world.now_us();
        let silenced = notice::take_silenced(state, &told.rule, &mut told.rows, now_us).await.map_err(of)?;
        if let Some(silence) = silenced.first().map(|(silence, _)| silence.id.clone()) {
            fan_out::after_silences(state, job, &told, silenced, now_us).await.map_err(|error| ended(&error))?;
            if told.rows.is_empty() {
                return Ok(done(&format!("silence {silence}"), "silenced"));
            }
        }
    }
    if job.kind == ESCALATE {
        return fan_out::escalate(world, job, &told).await;
    }
    if job.kind == NOTIFY.name && world.settings.routes.contains_key(&told.channel) {
        return fan_out::route(world, job, &told).await;
    }
    let Some(channel) = world.settings.channels.get(&told.channel) else {
        let names: Vec<&str> =
            world.settings.channels.keys().chain(world.settings.routes.keys()).map(String::as_str).collect();
        let error =
            format!("there is no channel {} in the settings of actions; there are {}", told.channel, names.join(", "));
        return Err(Ended::Refused { error });
    };
    if [TEAMS.name, SLACK.name, EMAIL.name].contains(&job.kind.as_str()) && job.kind != channel.kind() {
        let error =
            format!("the channel {} is of kind {}, and the rule says {}", told.channel, channel.kind(), job.kind);
        return Err(Ended::Refused { error });
    }
    Ok(deliver(world, job, channel, &told).await)
}

async fn deliver(world: &World, job: &Claimed, channel: &Channel, told: &Told) -> Ended {
    let links = world.settings.acknowledge.as_ref().filter(|_| told.transition.is_some() && !told.is_over());
    let told = &Told { acknowledge: links.map(|links| links.of(&job.id, world.now_us())), ..told.clone() };
    let target = format!("channel {}", told.channel);
    match channel {
        Channel::Hook(place) => {
            let body = hook::body(told).to_string();
            let headers = hook::headers(place.secret.as_deref(), &job.dedupe, world.now_us(), &body);
            world.post(place.url.clone(), &target, body, headers, job).await
        }
        Channel::Slack(place) => {
            world.post(place.url.clone(), &target, slack::body(told).to_string(), Vec::new(), job).await
        }
        Channel::Teams(place) => {
            let ended = world.post(place.url.clone(), &target, teams::body(told).to_string(), Vec::new(), job).await;
            teams::believe(ended)
        }
        Channel::Email(mail) => match unsure(world, job).await {
            Ok(true) if !mail.resend => Ended::Refused {
                error: format!(
                    "{target}: a process ended while it sent this mail; `stellwerk job retry {}` sends it again",
                    job.id
                ),
            },
            Ok(_) => email::send(mail, told, job, &target, world.now_us()).await,
            Err(error) => failed(error.to_string(), None),
        },
    }
}

/// A message that was sent, or is about to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its rule.
    pub rule: String,
    /// Its channel.
    pub channel: String,
    /// What stands above it.
    pub title: String,
    /// The rows that it names.
    pub rows: Vec<notice::Row>,
}

/// The message of a job, for as long as the job is remembered.
pub async fn sent(state: &State, job: &str) -> engine::Result<Message> {
    let sql =
        "SELECT kind, arguments FROM job WHERE id = $1 UNION ALL SELECT kind, arguments FROM job_done WHERE id = $1";
    for row in state.fetch(sql, &[job.into()]).await? {
        if KINDS.contains(&row.get::<String>("kind")?.as_str()) {
            let told = Told::of(&serde_json::from_str(&row.get::<String>("arguments")?).unwrap_or_default());
            return Ok(Message { title: told.title(), rule: told.rule, channel: told.channel, rows: told.rows });
        }
    }
    Err(Error::new(Kind::NotFound, format!("there is no message {job} any more")))
}

/// Whether an earlier attempt may have reached the world. A first attempt is one that somebody asked for.
async fn unsure(world: &World, job: &Claimed) -> engine::Result<bool> {
    let Some(inside) = world.inside.as_ref().filter(|_| job.attempt > 1) else { return Ok(false) };
    let sql = "SELECT dedupe FROM effect WHERE dedupe = $1 AND state = 'unknown'";
    Ok(!inside.store.state().fetch(sql, &[job.dedupe.as_str().into()]).await?.is_empty())
}

fn done(target: &str, response: &str) -> Ended {
    Ended::Done { target: target.to_owned(), response: response.to_owned() }
}

#[cfg(test)]
mod tests;
