//! Gives back what is free while the process holds much of the machine. The allocator keeps what is free for a while, because
//! asking the system for it again costs page faults: given back at once, a search through bodies takes 1.8 times as long.
//! But under a steady load of writers and dashboards what is kept grows and grows. So what is free is given back a few times a
//! second where, and for as long as, the process holds much. What is in use stays: maintenance alone may take it above the
//! budget (`benches/results/reading.md`).

use std::time::Duration;

/// How often the process looks at itself.
const EVERY: Duration = Duration::from_millis(200);
/// Shares of the budget, in eighths: above the one, what is free goes back; below the other, it is kept.
const MUCH: usize = 6;
const LITTLE: usize = 5;

/// Watches from a thread of its own until the process ends.
pub fn watch(bytes_max: usize) {
    let watching = std::thread::Builder::new().name("resident".to_owned()).spawn(move || {
        let mut gives = false;
        loop {
            std::thread::sleep(EVERY);
            let Some(bytes) = resident_bytes() else { return };
            gives = gives_back(gives, bytes, bytes_max);
            if gives {
                give_back();
            }
        }
    });
    if let Err(error) = watching {
        tracing::warn!(%error, "nobody watches the memory that the process holds");
    }
}

fn gives_back(already: bool, bytes: usize, bytes_max: usize) -> bool {
    bytes > bytes_max / 8 * if already { LITTLE } else { MUCH }
}

/// What the process holds. `None` where the system does not tell.
fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
    kib?.trim().parse::<usize>().ok().map(|kib| kib << 10)
}

#[allow(unsafe_code)]
fn give_back() {
    // SAFETY: lets the allocator look for what is free; it may be called from any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_given_back_until_it_is_little() {
        let seen = [700, 800, 700, 600, 700].into_iter().scan(false, |gives, bytes| {
            *gives = gives_back(*gives, bytes, 1_000);
            Some(*gives)
        });
        assert_eq!(seen.collect::<Vec<_>>(), [false, true, true, false, false]);
    }

    #[test]
    fn a_process_holds_something() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }
}
