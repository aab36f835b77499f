//! What a running server does by itself now and then: it signs the audit log, looks at what is kept, estimates what no bill
//! says yet, and backs itself up.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use engine::Result;
use engine::backup::{self, BackupPlace};
use ingest::cost::estimate::{ClusterWish, Schedule};
use jobs::schedule::Sweep;
use ledger::principal::Caller;

use super::place::{duration, pair};
use crate::cost::keep_estimates;
use crate::house::House;
use crate::reach::keep::KeepWish;

/// How often the audit log's counts of denials are written and its root is signed.
const KEEP_AUDIT_EVERY: Duration = Duration::from_secs(300);
/// How often it is looked how much is past its time.
const LOOK_AT_RETENTION_EVERY: Duration = Duration::from_secs(3600);
/// How often it is looked at most whether something is due: a server that is restarted often does it all the same.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// Settings of what is done now and then.
#[derive(Debug, Args)]
#[command(next_help_heading = "Upkeep")]
pub struct Upkeep {
    /// Write what clusters and model calls cost into the ledger this often, as estimates that bills replace: today, the last
    /// three days, and what was missed; off leaves it to `cost estimate` and `cost allocate --write`. What has no price list
    /// in the store is not estimated.
    #[arg(long, value_name = "TIME|off", default_value = "1h", value_parser = every, env = "STELLWERK_ESTIMATE")]
    estimate: Every,
    /// Who sells and hosts the clusters that are estimated.
    #[arg(long, value_name = "NAME", default_value = "Kubernetes", env = "STELLWERK_ESTIMATE_PROVIDER")]
    estimate_provider: String,
    /// Currency of estimated clusters, where no price says one.
    #[arg(long, value_name = "CODE", default_value = "USD", env = "STELLWERK_ESTIMATE_CURRENCY")]
    estimate_currency: String,
    /// Back the store up into this folder, or object store, as often as --backup-every says.
    #[arg(long, value_name = "DEST", env = "STELLWERK_BACKUP")]
    backup: Option<String>,
    /// How old the newest backup becomes before the next one is made.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration, env = "STELLWERK_BACKUP_EVERY")]
    backup_every: Duration,
    /// Put the state database alone beside the backups this often, where it changed: `backup restore --to` takes the last one
    /// before its moment. Each reads that database once; where that takes long it is done less often, a tenth of the time.
    #[arg(long, value_name = "TIME|off", default_value = "1m", value_parser = every, env = "STELLWERK_BACKUP_STATE_EVERY")]
    backup_state_every: Every,
    /// Remove backups of --backup that are older than this, but for the last of them; off keeps them all.
    #[arg(long, value_name = "TIME|off", default_value = "off", value_parser = every, env = "STELLWERK_BACKUP_KEEP")]
    backup_keep: Every,
    /// Option of the backups' object store, as object_store names it. Repeat it, or separate by commas.
    #[arg(long, value_name = "K=V", env = "STELLWERK_BACKUP_OPTIONS", value_delimiter = ',', value_parser = pair, hide_env_values = true)]
    backup_option: Vec<(String, String)>,
}

/// How often something is done, if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Every {
    /// Never.
    Off,
    /// This often.
    Time(Duration),
}

fn every(text: &str) -> Result<Every, String> {
    match text {
        "off" => Ok(Every::Off),
        text => match duration(text)? {
            time if time < Duration::from_secs(1) => Err("the least is 1s; write off for never".to_owned()),
            time => Ok(Every::Time(time)),
        },
    }
}

/// A sweep over the house.
fn sweep<F>(
    name: &'static str,
    every: Duration,
    house: &Arc<House>,
    task: impl Fn(Arc<House>) -> F + Send + Sync + 'static,
) -> Sweep
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let house = Arc::clone(house);
    Sweep::new(name, every, move || task(Arc::clone(&house)))
}

impl Upkeep {
    /// The sweeps of a server.
    pub fn sweeps(&self, house: &Arc<House>) -> Vec<Sweep> {
        let mut sweeps = vec![
            sweep("audit", KEEP_AUDIT_EVERY, house, |house| async move { house.keep_audit().await }),
            sweep("retention", LOOK_AT_RETENTION_EVERY, house, |house| async move { house.keep_retention().await }),
        ];
        if let Every::Time(every) = self.estimate {
            let due = Arc::new(Due::new(every));
            let schedule = Arc::new(Schedule::new(ClusterWish {
                share_idle: "none".to_owned(),
                provider: self.estimate_provider.clone(),
                currency: self.estimate_currency.clone(),
                ..ClusterWish::default()
            }));
            sweeps.push(sweep("estimate", every.min(LOOK_EVERY), house, move |house| {
                let (due, schedule) = (Arc::clone(&due), Arc::clone(&schedule));
                async move { due.once(keep_estimates(&house, &schedule)).await }
            }));
        }
        if let Some(to) = &self.backup {
            let (to, options, every, keep) =
                (to.clone(), self.backup_option.clone(), self.backup_every, self.backup_keep);
            sweeps.push(sweep("backup", every.min(LOOK_EVERY), house, move |house| {
                let (to, options) = (to.clone(), options.clone());
                async move { back_up(&house, to, options, every, keep).await }
            }));
        }
        if let (Some(to), Every::Time(every)) = (&self.backup, self.backup_state_every) {
            let (to, options, pace) = (to.clone(), self.backup_option.clone(), Arc::new(Pace::default()));
            sweeps.push(sweep("backup state", every, house, move |house| {
                let (to, options, pace) = (to.clone(), options.clone(), Arc::clone(&pace));
                async move { pace.once(back_up_state(&house, to, options)).await }
            }));
        }
        sweeps
    }
}

/// When something was done last in this process.
#[derive(Debug)]
struct Due {
    every: Duration,
    last: tokio::sync::Mutex<Option<tokio::time::Instant>>,
}

impl Due {
    fn new(every: Duration) -> Due {
        Due { every, last: tokio::sync::Mutex::default() }
    }

    /// Does it, unless it was done lately. What failed is due again.
    async fn once(&self, task: impl Future<Output = Result<()>>) -> Result<()> {
        let mut last = self.last.lock().await;
        let now = tokio::time::Instant::now();
        if last.is_some_and(|last| now.duration_since(last) < self.every) {
            return Ok(());
        }
        task.await?;
        *last = Some(now);
        Ok(())
    }
}

/// Keeps what is done again and again from taking all the time.
#[derive(Debug, Default)]
struct Pace(tokio::sync::Mutex<Option<tokio::time::Instant>>);

/// Of the time, it takes one part in so many at most.
const PACE: u32 = 10;

impl Pace {
    /// Does it, unless it took so long the last time that it is too early.
    async fn once(&self, task: impl Future<Output = Result<()>>) -> Result<()> {
        let mut not_before = self.0.lock().await;
        let begun = tokio::time::Instant::now();
        if not_before.is_some_and(|time| begun < time) {
            return Ok(());
        }
        let done = task.await;
        *not_before = Some(begun + begun.elapsed() * PACE);
        done
    }
}

/// Puts the state beside the backups, once there is one.
async fn back_up_state(house: &House, to: String, options: Vec<(String, String)>) -> Result<()> {
    if backup::newest(&BackupPlace::open(&to, &options)?).await?.is_none() {
        return Ok(());
    }
    house.keep(KeepWish::BackupState { to, options }, &Caller::schedule()).await.map(|_| ())
}

/// Makes a backup where the newest one is too old, whoever made that, and removes those that are older than they need be.
async fn back_up(
    house: &House,
    to: String,
    options: Vec<(String, String)>,
    every: Duration,
    keep: Every,
) -> Result<()> {
    let us = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let now_us = house.store.clock().now_us();
    let place = BackupPlace::open(&to, &options)?;
    let newest = backup::newest(&place).await?;
    if newest.is_some_and(|at_us| now_us.saturating_sub(at_us) < us(every)) {
        return Ok(());
    }
    let caller = Caller::schedule();
    house.keep(KeepWish::Backup { to: to.clone(), options }, &caller).await?;
    let Every::Time(keep) = keep else { return Ok(()) };
    let pruned = backup::prune(&place, now_us.saturating_sub(us(keep)), now_us, false).await?;
    if pruned.backups.is_empty() && pruned.states == 0 && pruned.files == 0 {
        return Ok(());
    }
    let detail = serde_json::json!({"at": to, "backups": pruned.backups, "states": pruned.states, "files": pruned.files, "bytes": pruned.bytes});
    house.audit.record(caller.entry("backup.prune", "backups").of_tenant(None).with(detail)).await.map(|_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn off_is_never_and_nothing_is_done_all_the_time() {
        assert_eq!(every("off"), Ok(Every::Off));
        assert_eq!(every("90s"), Ok(Every::Time(Duration::from_secs(90))));
        for wrong in ["0", "10ms", "often"] {
            assert!(every(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn what_was_done_lately_is_not_due_and_what_failed_is() {
        let (due, done) = (Due::new(Duration::from_millis(400)), std::sync::atomic::AtomicUsize::new(0));
        let once = async |fails: bool| {
            let task = async {
                done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                if fails { Err(engine::Error::invalid("no")) } else { Ok(()) }
            };
            let _ = due.once(task).await;
            done.load(std::sync::atomic::Ordering::SeqCst)
        };
        assert_eq!([once(true).await, once(false).await, once(false).await], [1, 2, 2]);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(once(false).await, 3);
    }

    #[tokio::test]
    async fn what_takes_long_is_done_less_often() {
        let (pace, done) = (Pace::default(), std::sync::atomic::AtomicUsize::new(0));
        let once = async || {
            let task = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                done.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                Ok(())
            };
            pace.once(task).await.unwrap();
            done.load(std::sync::atomic::Ordering::SeqCst)
        };
        assert_eq!([once().await, once().await], [1, 1]);
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert_eq!(once().await, 2);
    }
}
