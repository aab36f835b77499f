//! Floor 0: tables. Declare them, append to them (WAL → tail → Lance), ask them (DataFusion), maintain them; and the
//! state database (sqlx) beside them. Knows nothing of cost, telemetry, HTTP or rules.
//!
//! Owns lancedb, lance, datafusion, arrow, object_store, parquet and sqlx for the whole workspace: the floors above use
//! the re-exports here, so one version of each is linked.

pub mod background;
pub mod backup;
pub mod clock;
pub mod columns;
pub mod erase;
pub mod error;
pub mod facts;
pub mod fault;
pub mod frame;
pub mod keep;
pub mod memory;
pub mod needles;
pub mod owner;
pub mod place;
pub mod ports;
pub mod query_log;
pub mod redact;
pub mod redaction_finding;
pub mod reject;
pub mod rows;
pub mod scope;
pub mod settings;
pub mod span;
pub mod sql;
pub mod state;
pub mod store;
pub mod table;
pub mod wal;
pub mod witness;
pub mod writer;

pub use arrow;
pub use datafusion;
pub use object_store;
pub use parquet;
pub use sqlx;

pub use clock::{Clock, WallClock};
pub use erase::{Also, ErasedTable, Order, Seen};
pub use error::{Error, Kind, Result};
pub use frame::{Batch, Frame, Idempotency, Receipt};
pub use keep::{Due, Expired, Hold, Keeper, Kept};
pub use needles::Needles;
pub use owner::OwnerLock;
pub use ports::{ChatModel, ChatRequest, Embedder, Message, NoRedaction, Purpose, Redactor, Speaker};
pub use rows::{Rows, Value};
pub use scope::{Scope, Tenants};
pub use settings::{Settings, WalPlace};
pub use span::{parse_span, write_span};
pub use state::{State, StateTable};
pub use store::{Answer, Catalogue, Limits, Load, Ports, Question, Store};
pub use table::{Column, Index, Table, Type, View};
pub use witness::{Commit, RowDigest, Witness};
