//! One message becomes several jobs: one a channel of a route, those who are told later, and what waits for the end of a
//! silence. Their names follow from the message's own, so that a second attempt makes none twice.

use engine::{Result, State};

use super::super::notice::{self, Row, Silence};
use super::super::settings::Route;
use super::super::world::{World, ended};
use super::told::Told;
use super::{ESCALATE, done};
use crate::queue::{self, Claimed, Ended, NewJob};
use crate::rows::Transition;

/// A job to follow.
struct Next {
    kind: String,
    told: Told,
    dedupe: String,
    cause: String,
    run_us: i64,
    /// The step that it takes.
    step: Option<usize>,
}

impl Next {
    /// The message in a channel.
    fn channel(job: &Claimed, told: &Told, channel: &str, run_us: i64) -> Next {
        Next {
            kind: "notify".to_owned(),
            told: Told { channel: channel.to_owned(), ..told.clone() },
            dedupe: format!("{}:{channel}", job.dedupe),
            cause: format!("job {}", job.id),
            run_us,
            step: None,
        }
    }

    fn job(self, now_us: i64) -> NewJob {
        let mut arguments = self.told.arguments();
        if let Some(step) = self.step {
            arguments["step"] = step.into();
        }
        NewJob {
            id: uuid::Uuid::now_v7().to_string(),
            kind: self.kind,
            arguments,
            dedupe: self.dedupe,
            cause: self.cause,
            run_us: self.run_us,
            created_us: now_us,
            terms: queue::Terms::default(),
        }
    }
}

/// A message to each channel of a route. What is new is told to others later; what is over, to those who were told later.
pub async fn route(world: &World, job: &Claimed, told: &Told) -> Result<Ended, Ended> {
    let (inside, now_us) = (world.inside()?, world.now_us());
    let name = told.channel.clone();
    let route = &world.settings.routes[&name];
    let told = Told { route: Some(name.clone()), ..told.clone() };
    let mut channels = route.channels.clone();
    if told.is_over() {
        let taken = notice::steps_taken(inside.store.state(), &told.rule, &told.rows, &name).await;
        let taken = usize::try_from(taken.map_err(|error| ended(&error))?).unwrap_or(0);
        channels.extend(route.escalate.iter().take(taken).flat_map(|step| step.to.iter().cloned()));
        let mut seen = std::collections::BTreeSet::new();
        channels.retain(|channel| seen.insert(channel.clone()));
    }
    let mut next: Vec<Next> = channels.iter().map(|channel| Next::channel(job, &told, channel, now_us)).collect();
    if told.transition == Some(Transition::New) && !route.escalate.is_empty() {
        next.push(step(route, 0, &job.dedupe, &told, now_us));
    }
    insert(inside.store.state(), next, now_us).await.map_err(|error| ended(&error))?;
    Ok(done(&format!("route {name}"), &channels.join(", ")))
}

/// The job that takes a step of a route.
fn step(route: &Route, at: usize, dedupe: &str, told: &Told, told_us: i64) -> Next {
    let micros = |at: usize| i64::try_from(route.escalate[at].after.as_micros()).unwrap_or(i64::MAX);
    // Each step is counted from when the row was told; the one before was due at its own time.
    let after = micros(at) - at.checked_sub(1).map_or(0, micros);
    Next {
        kind: ESCALATE.to_owned(),
        told: Told { only_open: true, ..told.clone() },
        dedupe: format!("{dedupe}:step-{at}"),
        cause: format!("route {} of {}", told.route.as_deref().unwrap_or_default(), told.rule),
        run_us: told_us.saturating_add(after),
        step: Some(at),
    }
}

/// Tells those of a step, and puts the next step in line. The rows are those that are still open.
pub async fn escalate(world: &World, job: &Claimed, told: &Told) -> Result<Ended, Ended> {
    let (inside, now_us) = (world.inside()?, world.now_us());
    let at = job.arguments["step"].as_u64().and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
    let name = told.route.clone().unwrap_or_default();
    let Some((route, taken)) = world.settings.routes.get(&name).and_then(|r| Some((r, r.escalate.get(at)?))) else {
        // The settings are other ones now; nobody is named to be told.
        return Ok(done(&format!("route {name}"), "the route has no such step any more"));
    };
    let open = Told { only_open: false, ..told.clone() };
    let mut next: Vec<Next> = taken.to.iter().map(|channel| Next::channel(job, &open, channel, now_us)).collect();
    if at + 1 < route.escalate.len() {
        let first = job.dedupe.strip_suffix(&format!(":step-{at}")).unwrap_or(&job.dedupe);
        next.push(step(route, at + 1, first, told, now_us));
    }
    let state = inside.store.state();
    let written = async {
        let mut transaction = state.transaction().await?;
        let number = i64::try_from(at).unwrap_or(i64::MAX);
        notice::escalated(&mut transaction, &told.rule, &told.rows, &name, number, now_us).await?;
        for next in next {
            queue::insert(&mut transaction, &next.job(now_us)).await?;
        }
        transaction.commit().await
    };
    written.await.map_err(|error| ended(&error))?;
    Ok(done(&format!("route {name}, step {at}"), &taken.to.join(", ")))
}

/// What is silenced is told when its silence ends, if it still fires then. What is over needs no word.
pub async fn after_silences(
    state: &State,
    job: &Claimed,
    told: &Told,
    silenced: Vec<(Silence, Vec<Row>)>,
    now_us: i64,
) -> Result<()> {
    if told.is_over() {
        return Ok(());
    }
    let step = job.arguments["step"].as_u64().and_then(|at| usize::try_from(at).ok());
    // Rows that the message only counts wait with the others.
    let more = |at: usize| if at == 0 && told.rows.is_empty() { told.more } else { 0 };
    let next = silenced.into_iter().enumerate().map(|(at, (silence, rows))| Next {
        kind: job.kind.clone(),
        told: Told { rows, more: more(at), only_open: true, ..told.clone() },
        dedupe: format!("{}:after-{}", job.dedupe, silence.id),
        cause: notice::kept_back(&silence.id),
        run_us: silence.ends_us,
        step,
    });
    insert(state, next.collect(), now_us).await
}

async fn insert(state: &State, next: Vec<Next>, now_us: i64) -> Result<()> {
    let mut transaction = state.transaction().await?;
    for next in next {
        queue::insert(&mut transaction, &next.job(now_us)).await?;
    }
    transaction.commit().await
}
