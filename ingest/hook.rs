//! Web hooks of others: each delivery becomes a row of `hook_event`, whole; those of Alertmanager rows of `hook_alert`, too.
//! Who may send is data here (`sender`) and decided at the door. A delivery is told by what its sender calls it, else by
//! what it says, so that one that comes again adds nothing.

mod alert;
mod delivery;
mod sender;
mod tables;

use engine::Table;

pub use delivery::{Body, Delivery, frame, read, refused};
pub use sender::{Form, Proof, Scheme, Sender, Senders};
pub use tables::{HOOK_ALERT, HOOK_EVENT};

/// Every table of web hooks.
pub const TABLES: &[&Table] = &[&HOOK_EVENT, &HOOK_ALERT];

#[cfg(test)]
mod tests;
