//! What a store holds already, so that only what changed is read again.

use engine::arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use engine::arrow::compute::cast;
use engine::arrow::datatypes::DataType;
use engine::{Error, Limits, Question, Result, Scope, Store};
use futures::TryStreamExt;

/// The cells of an answer as texts.
pub async fn rows(store: &Store, scope: &Scope, sql: &str, params: &[&str]) -> Result<Vec<Vec<Option<String>>>> {
    let params = params.iter().map(|param| (*param).to_owned()).collect();
    let limits = Limits { rows_max: usize::MAX, ..Limits::default() };
    let answer = store.query(scope, Question { sql: sql.to_owned(), params }, limits).await?;
    let batches: Vec<RecordBatch> =
        answer.stream.try_collect().await.map_err(|e| Error::unavailable("ask what is known", e))?;
    let mut found = Vec::new();
    for batch in batches {
        let plain = batch.columns().iter().map(|column| cast(column, &DataType::Utf8));
        let plain =
            plain.collect::<Result<Vec<ArrayRef>, _>>().map_err(|e| Error::unavailable("read what is known", e))?;
        for row in 0..batch.num_rows() {
            let cell =
                |column: &ArrayRef| column.is_valid(row).then(|| column.as_string::<i32>().value(row).to_owned());
            found.push(plain.iter().map(cell).collect());
        }
    }
    Ok(found)
}
