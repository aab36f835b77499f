//! One dictionary for many batches. Every frame brings its own small dictionaries; Lance joins those of a page without
//! merging them, so that the same names are stored again for every frame and the keys grow by as many bits. It copies each
//! batch before it joins them, so that a dictionary which batches share is stored once a batch: batches are joined first.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int32Type};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;

/// Rows of a joined batch: enough that its dictionaries are small beside it, few enough to be copied in passing.
const BATCH_ROWS: usize = 65_536;
/// Rows of a stream that share dictionaries.
const GROUP_ROWS: usize = 2 * BATCH_ROWS;
/// Bytes of a stream's batches that wait for their group to be full.
const GROUP_BYTES: usize = 32 << 20;
/// What [`unified`] holds at the most: a group, and its joined copy.
pub const HELD_BYTES: usize = 2 * GROUP_BYTES;
/// A value that no row has used yet.
const UNUSED: i32 = -1;

/// The same rows in fewer batches; in each dictionary column all of them share one dictionary of the values that rows use,
/// in the order in which they are met.
pub fn unify(mut batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let Some(schema) = batches.first().map(RecordBatch::schema) else { return Ok(batches) };
    for (at, field) in schema.fields().iter().enumerate() {
        if is_names(field.data_type()) && !is_shared(&batches, at) {
            let unified = unify_column(batches.iter().map(|batch| batch.column(at).as_dictionary()));
            for (batch, column) in batches.iter_mut().zip(unified) {
                let mut columns = batch.columns().to_vec();
                columns[at] = column;
                *batch = RecordBatch::try_new(schema.clone(), columns).expect("a column is replaced by its equal");
            }
        }
    }
    let (mut joined, mut open, mut rows) = (Vec::new(), Vec::new(), 0);
    for batch in batches {
        if rows + batch.num_rows() > BATCH_ROWS && rows > 0 {
            joined.push(concat_batches(&schema, &std::mem::take(&mut open))?);
            rows = 0;
        }
        rows += batch.num_rows();
        open.push(batch);
    }
    joined.push(concat_batches(&schema, &open)?);
    Ok(joined)
}

/// The same stream, unified in groups of a bounded size.
pub fn unified(stream: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let groups = futures::stream::try_unfold((stream, VecDeque::new()), |(mut stream, mut ready)| async move {
        if ready.is_empty() {
            ready.extend(unify(group(&mut stream).await?)?);
        }
        Ok(ready.pop_front().map(|batch| (batch, (stream, ready))))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, groups))
}

async fn group(stream: &mut SendableRecordBatchStream) -> Result<Vec<RecordBatch>> {
    let (mut batches, mut rows, mut bytes) = (Vec::new(), 0, 0);
    while rows < GROUP_ROWS && bytes < GROUP_BYTES {
        let Some(batch) = stream.try_next().await? else { break };
        rows += batch.num_rows();
        bytes += batch.get_array_memory_size();
        batches.push(batch);
    }
    Ok(batches)
}

fn is_names(kind: &DataType) -> bool {
    matches!(kind, DataType::Dictionary(keys, values) if **keys == DataType::Int32 && **values == DataType::Utf8)
}

fn is_shared(batches: &[RecordBatch], at: usize) -> bool {
    let values = |batch: &RecordBatch| batch.column(at).as_dictionary::<Int32Type>().values().clone();
    let mut all = batches.iter().map(values);
    let first = all.next();
    first.is_none_or(|first| all.all(|other| Arc::ptr_eq(&first, &other)))
}

fn unify_column<'a>(columns: impl Iterator<Item = &'a DictionaryArray<Int32Type>> + Clone) -> Vec<ArrayRef> {
    let mut places: HashMap<&str, i32> = HashMap::new();
    let mut names: Vec<&str> = Vec::new();
    let mut keys = Vec::new();
    for column in columns {
        let values = column.values().as_string::<i32>();
        let mut new_places = vec![UNUSED; values.len()];
        let renamed = column.keys().iter().map(|key| {
            let at = usize::try_from(key?).expect("a dictionary's keys are places");
            if new_places[at] == UNUSED && values.is_valid(at) {
                let name = values.value(at);
                new_places[at] = *places.entry(name).or_insert_with(|| {
                    names.push(name);
                    i32::try_from(names.len() - 1).expect("fewer names than rows, and those fit")
                });
            }
            Some(new_places[at]).filter(|place| *place != UNUSED)
        });
        keys.push(renamed.collect::<Int32Array>());
    }
    let names: ArrayRef = Arc::new(StringArray::from(names));
    let joined = keys.into_iter().map(|keys| DictionaryArray::new(keys, names.clone()));
    joined.map(|column| Arc::new(column) as ArrayRef).collect()
}

#[cfg(test)]
mod tests {
    use arrow::compute::cast;
    use arrow::datatypes::{Field, Schema};

    use super::*;

    fn batch(names: &[Option<&str>]) -> RecordBatch {
        let column: DictionaryArray<Int32Type> = names.iter().copied().collect();
        let field = Field::new("name", column.data_type().clone(), true);
        RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(column)]).expect("one column")
    }

    fn texts(batches: &[RecordBatch]) -> ArrayRef {
        let joined = concat_batches(&batches[0].schema(), batches).expect("batches of one schema");
        cast(joined.column(0), &DataType::Utf8).expect("names are texts")
    }

    #[test]
    fn batches_share_one_dictionary_and_keep_their_rows() {
        let whole = batch(&[Some("unused"), Some("a"), None, Some("c")]);
        let before =
            vec![batch(&[Some("a"), None, Some("b"), Some("a")]), batch(&[]), whole.slice(1, 3), batch(&[None])];
        let after = unify(before.clone()).expect("batches of one schema");
        assert_eq!(after.len(), 1);
        assert_eq!(&texts(&after), &texts(&before));
        let names = after[0].column(0).as_dictionary::<Int32Type>().values().clone();
        assert_eq!(names.as_string::<i32>(), &StringArray::from(vec!["a", "b", "c"]), "what no row uses is left out");
    }

    #[test]
    fn large_batches_stay_apart_and_share() {
        let large = batch(&vec![Some("a"); BATCH_ROWS]);
        let after = unify(vec![large.clone(), batch(&[Some("b")]), large]).expect("batches of one schema");
        assert_eq!(after.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [BATCH_ROWS, 1, BATCH_ROWS]);
        assert!(is_shared(&after, 0));
    }

    #[tokio::test]
    async fn a_stream_keeps_its_rows_and_its_error() {
        let schema = batch(&[]).schema();
        let failed = datafusion::error::DataFusionError::Execution("cut off".into());
        let parts = vec![Ok(batch(&[Some("a")])), Ok(batch(&[Some("b"), Some("a")])), Err(failed)];
        let whole = RecordBatchStreamAdapter::new(schema.clone(), futures::stream::iter(parts));
        let error = unified(Box::pin(whole)).try_collect::<Vec<_>>().await.expect_err("the stream fails");
        assert!(error.to_string().contains("cut off"));
        let parts = vec![Ok(batch(&[Some("a")])), Ok(batch(&[Some("b"), Some("a")]))];
        let whole = RecordBatchStreamAdapter::new(schema, futures::stream::iter(parts));
        let batches: Vec<_> = unified(Box::pin(whole)).try_collect().await.expect("a stream without errors");
        assert_eq!(texts(&batches).as_string::<i32>(), &StringArray::from(vec!["a", "b", "a"]));
        assert_eq!(batches.len(), 1);
    }
}
