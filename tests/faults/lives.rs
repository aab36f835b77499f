//! One store lives through many kills: while it starts, at a moment that the dice choose, or exactly between two named
//! steps. Every few lives the clients pause, and what was acknowledged until then must be told, each under one name.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::acts::{Play, Since, fires_with_jobs, judge};
use super::trial::{Ended, Fault, Trial};
use crate::harness::Server;
use crate::state_postgres::Postgres;

/// What the names of these kinds begin with.
pub const OFTEN: &str = "acts-kills";
/// Kills of a trial on SQLite, unless `KILLS` says otherwise.
pub const KILLS_LONG: u64 = 100;
/// The same in the short form.
pub const KILLS_SHORT: u64 = 8;
/// On PostgreSQL a trial has so many times fewer: what a killed process ran goes on when its lease has ended.
const POSTGRES_SHARE: u64 = 4;
/// Lives between two verdicts: fewer than the attempts of a job, each of which a kill may take, and so few that the pause
/// behind an attempt that fails is not long.
const ROUND: u64 = 6;
/// The answer to every so many messages is lost, for the same reason fewer than in other trials.
const LOST_EVERY: std::ops::Range<usize> = 15..40;
/// A life that does not reach its step ends after this time without it.
const LIFE_MAX: Duration = Duration::from_secs(4);

/// Steps between which rules, jobs and flows, and the log that they read, must hold together; each comes up to so many times
/// before it counts.
const STEPS: &[(&str, u32)] = &[
    ("rule-compared", 3),
    ("queue-written", 40),
    ("queue-committed", 40),
    ("job-called", 30),
    ("flow-intended", 8),
    ("flow-called", 8),
    ("flow-kept", 16),
    ("frame-written", 40),
    ("frame-synced", 40),
    ("frame-acked", 40),
    ("flush-written", 4),
    ("flush-committed", 4),
];

/// How a life ends.
#[derive(Debug, Clone, PartialEq)]
enum Death {
    /// Before it has begun.
    AtStart(Duration),
    /// At a moment.
    After(Duration),
    /// At a step: `name:times:milliseconds later`.
    At(String),
}

impl Death {
    fn draw(dice: &mut StdRng) -> Death {
        match dice.random_range(0..10) {
            0 => Death::AtStart(Duration::from_millis(dice.random_range(0..400))),
            1..5 => Death::After(Duration::from_millis(dice.random_range(0..900))),
            _ => {
                let (step, most) = STEPS[dice.random_range(0..STEPS.len())];
                let delay_ms = if dice.random_bool(0.7) { 0 } else { dice.random_range(0..20) };
                Death::At(format!("{step}:{}:{delay_ms}", dice.random_range(1..=most)))
            }
        }
    }
}

/// Many kills over SQLite.
pub fn sqlite(trial: &mut Trial<'_>) -> Ended {
    live(trial, trial.campaign.kills)
}

/// Many kills over PostgreSQL, which lives.
pub fn postgres(trial: &mut Trial<'_>) -> Ended {
    let server = Postgres::start(&trial.ground).ok_or(Fault::Skipped)?;
    trial.args.extend(["--state".to_owned(), server.url.clone()]);
    live(trial, (trial.campaign.kills / POSTGRES_SHARE).max(1))
}

fn live(trial: &mut Trial<'_>, kills: u64) -> Ended {
    let mut play = Play::prepare(trial);
    play.lose(trial.dice.random_range(LOST_EVERY));
    // Before the first start there is nothing that could be asked.
    let mut alive = Some(trial.start()?);
    for kill in 1..=kills {
        // Lives have dice of their own: one that takes another turn leaves the later ones as they are.
        let mut dice = StdRng::seed_from_u64(trial.dice.random());
        let death = match alive {
            Some(_) => Death::After(Duration::from_millis(dice.random_range(0..900))),
            None => Death::draw(&mut dice),
        };
        end(trial, &mut play, alive.take(), &death, &mut dice).map_err(|fault| of(kill, &death, fault))?;
        if kill % ROUND == 0 || kill == kills {
            fires_with_jobs(trial, &format!("after kill {kill}, {death:?}"))?;
            let server = trial.start()?;
            judge(trial, &play, &server, Since::BEGIN, &format!("after {kill} kills"))?;
            alive = Some(server);
        }
    }
    play.stop();
    Ok(())
}

fn of(kill: u64, death: &Death, fault: Fault) -> Fault {
    match fault {
        Fault::Found(why) => Fault::Found(format!("kill {kill}, {death:?}: {why}")),
        Fault::Skipped => Fault::Skipped,
    }
}

/// Lives one life to its end. Where none is alive, one begins.
fn end(trial: &mut Trial<'_>, play: &mut Play, alive: Option<Server>, death: &Death, dice: &mut StdRng) -> Ended {
    match death {
        Death::AtStart(after) => {
            let args: Vec<&str> = trial.args.iter().map(String::as_str).collect();
            Server::kill_at_start(&trial.ground, &args, *after);
            trial.tally.kills += 1;
        }
        Death::After(after) => {
            let mut server = match alive {
                Some(server) => server,
                None => trial.start()?,
            };
            play.serve(&server, dice);
            std::thread::sleep(*after);
            trial.kill(&mut server);
        }
        Death::At(step) => match trial.spawn(&trial.ground, &[("STELLWERK_FAIL_AT", step)]) {
            Ok(mut server) => {
                play.serve(&server, dice);
                if !ended_by_itself(&mut server)? {
                    trial.kill(&mut server);
                } else {
                    trial.tally.kills += 1;
                }
            }
            // It was reached before the server was there for anybody.
            Err(why) if why.contains("signal: 9") => trial.tally.kills += 1,
            Err(why) => return Err(Fault::Found(why)),
        },
    }
    play.close();
    Ok(())
}

/// Waits for the end of a life at a step; false where the step is not reached in time.
fn ended_by_itself(server: &mut Server) -> Result<bool, Fault> {
    use std::os::unix::process::ExitStatusExt;
    let begun = Instant::now();
    while begun.elapsed() < LIFE_MAX {
        match server.ended() {
            Some(status) if status.signal() == Some(9) => return Ok(true),
            Some(status) => {
                return Err(Fault::Found(format!("the server ended with {status}\n{}", server.log())));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Ok(false)
}

#[test]
fn steps_are_fail_points() {
    for (step, most) in STEPS {
        assert!(engine::fault::POINTS.contains(step) && *most > 0, "{step}");
    }
    let deaths = |seed| {
        let mut dice = StdRng::seed_from_u64(seed);
        std::iter::repeat_with(move || Death::draw(&mut dice)).take(200)
    };
    assert!(deaths(7).eq(deaths(7)), "a seed draws the same lives again");
    let named = |step: &str| deaths(7).any(|death| matches!(death, Death::At(at) if at.starts_with(step)));
    assert!(STEPS.iter().all(|(step, _)| named(step)), "200 lives end at every step");
}
