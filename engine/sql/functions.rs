//! The register of the functions that this engine adds to DataFusion's, and their entries in the SQL reference.

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

use crate::sql::arithmetic::Arithmetic;
use crate::sql::{aggregate, json, time, truncate};

/// A function's entry in the SQL reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FunctionDoc {
    pub name: &'static str,
    /// Arguments as SQL writes them; other spellings behind a comma.
    pub signature: &'static str,
    /// One sentence.
    pub sentence: &'static str,
    /// An expression that runs on a cost table.
    pub example: &'static str,
}

/// A function that a higher floor brings into SQL: its [`Catalogue`](crate::Catalogue) lists it.
#[derive(Debug, Clone)]
pub struct Function {
    /// As DataFusion calls it.
    pub udf: Arc<ScalarUDF>,
    /// Its entry in the SQL reference.
    pub doc: FunctionDoc,
}

/// The scalar functions, by registration order.
pub fn scalars() -> Vec<Arc<ScalarUDF>> {
    let mut all = Arithmetic::all();
    all.extend(json::all());
    all.extend(time::all());
    all.extend(truncate::all());
    all
}

/// The aggregates that stand in for stock ones.
pub fn aggregates() -> Vec<Arc<AggregateUDF>> {
    aggregate::all()
}

/// The SQL reference of this room's functions.
pub fn docs() -> Vec<FunctionDoc> {
    json::docs().chain(time::docs()).collect()
}
