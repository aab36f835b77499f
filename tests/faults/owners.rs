//! Two processes on one data directory.

use super::trial::{Ended, Fault, Trial};
use crate::harness::Server;

/// The second is refused with a reason and leaves the first unharmed; once the first was killed, the next start works.
pub fn two(trial: &mut Trial<'_>) -> Ended {
    let mut first = trial.start()?;
    trial.serve(&first);
    trial.wait_for_acks(10, "by the first owner")?;
    for _ in 0..2 {
        refused(trial.start())?;
        trial.pass(50..300);
    }
    trial.wait_for_acks(10, "by the first owner, after a second one was refused")?;
    trial.kill(&mut first);
    let next = trial.start()?;
    trial.judge(&next, trial.now(), "by the owner after the killed one")?;
    trial.serve(&next);
    trial.wait_for_acks(10, "by the next owner")?;
    trial.conclude(next)
}

fn refused(second: Result<Server, Fault>) -> Ended {
    match second {
        Err(Fault::Found(why)) if why.contains("in use by process") && !why.contains("panicked") => Ok(()),
        Err(Fault::Found(why)) => {
            Err(Fault::Found(format!("the second owner was refused without a clear reason: {why}")))
        }
        Err(skipped) => Err(skipped),
        Ok(_) => Err(Fault::Found("two processes own one data directory".to_owned())),
    }
}
