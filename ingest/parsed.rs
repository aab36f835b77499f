//! What a source makes of one input, before it is durable.

use engine::reject::{REJECT, Reject};
use engine::{Batch, Frame, Idempotency, Rows, Scope};

/// Batches of rows that fitted, and the records that did not.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Rows for one or several tables.
    pub batches: Vec<Batch>,
    /// Records that became rows (an OTLP log record, a span, a data point, a Kubernetes object, an event).
    pub accepted: u64,
    /// Records that did not, with reasons.
    pub rejects: Vec<Reject>,
    /// The sender's key, if it gave one.
    pub idempotency: Option<Idempotency>,
}

impl Parsed {
    /// One frame: the rows, and the refused records as rows of `reject`.
    pub fn into_frame(self, source: impl Into<String>, scope: &Scope) -> Frame {
        let mut frame = Frame::new(source);
        let tenant = scope.owner(None);
        frame.batches = self.batches;
        // A sender's key is its own: the same key of another tenant or door is another key.
        frame.idempotency =
            self.idempotency.map(|i| Idempotency { key: format!("{tenant}/{}/{}", frame.source, i.key), ..i });
        if !self.rejects.is_empty() {
            let mut rows = Rows::new(&REJECT);
            self.rejects.iter().for_each(|reject| reject.write(tenant, &mut rows));
            frame.push_rows(&mut rows);
        }
        frame
    }
}
