//! One request on its way into rows: takes what the envelope finds, decodes record by record, counts, refuses.

use engine::arrow::array::{ArrayRef, RecordBatch};
use engine::reject::Reject;
use engine::{Batch, Error, Kind, Result, Table};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use serde_json::value::RawValue;

use super::labels::{Labels, Shared};
use super::{Arrival, Encoding, RECORD_BYTES_MAX, RECORDS_MAX, REQUEST_BYTES_MAX, Signal, envelope};
use crate::Parsed;

/// A data point, span or log record that does not fit, for the person who must act.
#[derive(Debug)]
pub(super) struct Refused {
    pub reason: String,
    /// The record as OTLP/JSON.
    pub body: Vec<u8>,
}

impl Refused {
    pub fn of(reason: String, record: &impl serde::Serialize) -> Self {
        // Every OTLP message has a JSON form; were one to fail, the reason would still be kept.
        Refused { reason, body: serde_json::to_vec(record).unwrap_or_default() }
    }
}

/// The rows of one signal under construction.
pub(super) trait SignalRows: Default {
    const SIGNAL: Signal;
    const TABLE: &'static Table;
    /// The protobuf message of one record.
    type Record: prost::Message + Default;
    /// Reads one record of OTLP/JSON.
    fn from_json(record: &serde_json::Value) -> Result<Self::Record, String>;
    /// Appends the rows of one record; what is refused leaves nothing behind. Returns the rows appended.
    fn push(&mut self, record: &Self::Record, received_ns: i64, refused: &mut Vec<Refused>) -> usize;
    /// The table's columns but the shared ones.
    fn finish(&mut self) -> Vec<ArrayRef>;
}

/// Parses a request of one signal.
pub(super) fn run<S: SignalRows>(body: &[u8], encoding: Encoding, arrival: &Arrival<'_>) -> Result<Parsed> {
    let mut intake = Intake::<S>::new(arrival);
    match encoding {
        Encoding::Protobuf => envelope::walk_protobuf(body, &mut intake)?,
        Encoding::Json => envelope::walk_json(body, &mut intake)?,
    }
    Ok(intake.finish())
}

/// Takes resources, scopes and records in the order in which the envelope holds them.
pub(super) struct Intake<'a, S> {
    arrival: &'a Arrival<'a>,
    rows: S,
    shared: Shared,
    resource: Result<Labels, String>,
    scope: Result<Labels, String>,
    scope_rows: usize,
    place: [usize; 3],
    accepted: usize,
    refused: Vec<Refused>,
    rejects: Vec<Reject>,
    reject_bytes: usize,
}

impl<'a, S: SignalRows> Intake<'a, S> {
    fn new(arrival: &'a Arrival<'a>) -> Self {
        Intake {
            arrival,
            rows: S::default(),
            shared: Shared::default(),
            resource: Ok(Labels::default()),
            scope: Ok(Labels::default()),
            scope_rows: 0,
            place: [0; 3],
            accepted: 0,
            refused: Vec::new(),
            rejects: Vec::new(),
            reject_bytes: 0,
        }
    }

    /// The signal that is expected.
    pub fn signal(&self) -> Signal {
        S::SIGNAL
    }

    /// A resource begins. One that cannot be read refuses its own records, not those of its neighbours.
    pub fn resource(&mut self, at: usize, resource: Result<Resource, String>, schema_url: &str) {
        self.place = [at, 0, 0];
        self.resource = resource
            .map(|resource| Labels::of_resource(&resource, schema_url, self.arrival))
            .map_err(|reason| format!("its resource cannot be read: {reason}"));
    }

    /// A scope of the current resource begins.
    pub fn scope(&mut self, at: usize, scope: Result<InstrumentationScope, String>, schema_url: &str) {
        self.end_scope();
        self.place = [self.place[0], at, 0];
        self.scope = match (&self.resource, scope) {
            (Ok(labels), Ok(scope)) => Ok(labels.with_scope(&scope, schema_url)),
            (Err(reason), _) => Err(reason.clone()),
            (_, Err(reason)) => Err(format!("its scope cannot be read: {reason}")),
        };
    }

    /// A record of the current scope, as protobuf.
    pub fn protobuf(&mut self, bytes: &[u8]) -> Result<()> {
        self.record(bytes, || prost::Message::decode(bytes).map_err(|error| error.to_string()))
    }

    /// A record of the current scope, as JSON.
    pub fn json(&mut self, raw: &RawValue) -> Result<()> {
        let decode = || {
            let value: serde_json::Value = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
            S::from_json(&value)
        };
        self.record(raw.get().as_bytes(), decode)
    }

    fn record(&mut self, bytes: &[u8], decode: impl FnOnce() -> Result<S::Record, String>) -> Result<()> {
        let decoded = match &self.scope {
            Err(reason) => Err(reason.clone()),
            Ok(_) if bytes.len() > RECORD_BYTES_MAX => {
                Err(format!("the record's {} bytes exceed the limit of {RECORD_BYTES_MAX} bytes", bytes.len()))
            }
            Ok(_) => decode(),
        };
        match decoded {
            Ok(record) => {
                let rows = self.rows.push(&record, self.arrival.received_ns, &mut self.refused);
                self.scope_rows += rows;
                self.accepted += rows;
            }
            Err(reason) => self.refused.push(Refused { reason, body: bytes.to_vec() }),
        }
        let place = self.place;
        self.reject_bytes += self.refused.iter().map(|refused| refused.body.len()).sum::<usize>();
        let reject = |Refused { reason, body }| Reject {
            kind: S::SIGNAL.reject_kind(),
            reason,
            place: Some(format!("{}[{}].scope[{}].record[{}]", S::SIGNAL.json_field(), place[0], place[1], place[2])),
            body,
        };
        self.rejects.extend(self.refused.drain(..).map(reject));
        self.place[2] += 1;
        if self.accepted + self.rejects.len() > RECORDS_MAX {
            return Err(Error::new(
                Kind::TooLarge,
                format!("a request may hold {RECORDS_MAX} records; send it in parts"),
            ));
        }
        if self.reject_bytes > REQUEST_BYTES_MAX {
            let text = format!(
                "the refused records of this request take more than {REQUEST_BYTES_MAX} bytes; send it in parts"
            );
            return Err(Error::new(Kind::TooLarge, text));
        }
        Ok(())
    }

    fn end_scope(&mut self) {
        if let Ok(labels) = &self.scope {
            self.shared.repeat(labels, self.scope_rows);
        }
        self.scope_rows = 0;
    }

    fn finish(mut self) -> Parsed {
        self.end_scope();
        let mut parsed = Parsed { accepted: self.accepted as u64, rejects: self.rejects, ..Parsed::default() };
        if self.accepted > 0 {
            let mut columns = self.rows.finish();
            columns.extend(self.shared.finish());
            let rows = RecordBatch::try_new(S::TABLE.batch_schema(), columns)
                .expect("builders are declared with their columns");
            parsed.batches.push(Batch { table: S::TABLE, rows });
        }
        parsed
    }
}
