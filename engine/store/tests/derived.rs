//! What a search stands on: columns of vectors, rows that only some groups may see, functions in FROM.

use std::sync::Arc;

use arrow::array::{AsArray, Float32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;

use super::*;
use crate::sql::functions::FunctionDoc;
use crate::sql::table_function::{ScopedRows, TableFunction};

static PIECE: Table = Table {
    key: &["name"],
    time: "ingested_at",
    acl: Some("acl"),
    derived: true,
    ..Table::new(
        "piece",
        "Pieces.",
        &[
            Column::new("tenant", Type::Name, "Tenant.").required(),
            Column::new("name", Type::Text, "Name.").required(),
            Column::new("acl", Type::Json, "Groups."),
            Column::new("vector", Type::Vector(3), "Vector."),
        ],
    )
};

/// Answers one row of a tenant, whoever asks.
#[derive(Debug)]
struct OneOf(&'static str);

#[async_trait]
impl ScopedRows for OneOf {
    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("tenant", DataType::Utf8, true)]))
    }

    fn check(&self, arguments: &[ScalarValue]) -> Result<()> {
        if arguments.len() == 1 { Ok(()) } else { Err(Error::invalid("one argument")) }
    }

    async fn rows(&self, _: &Scope, _: &[ScalarValue]) -> Result<RecordBatch> {
        let rows: StringArray = [Some(self.0)].into_iter().collect();
        RecordBatch::try_new(self.schema(), vec![Arc::new(rows)]).map_err(|e| Error::unavailable("make a row", e))
    }
}

async fn opened(dir: &Path) -> Arc<Store> {
    let doc = FunctionDoc { name: "one_of", signature: "one_of(x)", sentence: "One.", example: "one_of(1)" };
    let table_functions = vec![TableFunction { doc, rows: Arc::new(OneOf("a")) }];
    let catalogue = Catalogue { tables: vec![&PIECE, &QUERY_LOG], table_functions, ..Catalogue::default() };
    // A store that was dropped without being closed lives until its questions are logged.
    for _ in 0..100 {
        let ports = Ports { clock: Arc::new(WallClock), redactor: Arc::new(NoRedaction) };
        match Store::open(Settings::new(dir), catalogue.clone(), ports).await {
            Err(busy) if busy.kind() == Kind::Conflict => tokio::time::sleep(Duration::from_millis(50)).await,
            opened => return opened.unwrap(),
        }
    }
    panic!("the store before did not let go");
}

async fn put(store: &Store, name: &str, acl: Option<&str>, vector: Option<[f32; 3]>) -> Result<Receipt> {
    let mut rows = Rows::new(&PIECE);
    rows.set("tenant", "a").set("name", name).set("acl", acl.map(str::to_owned));
    rows.set("vector", vector.map_or(Value::Null, |vector| Value::Vector(vector.to_vec())));
    rows.end_row()?;
    let mut frame = Frame::new("test");
    frame.push_rows(&mut rows);
    store.append(frame).await
}

async fn names(store: &Store, scope: &Scope, sql: &str) -> Result<Vec<String>> {
    let answer = store.query(scope, sql, Limits::default()).await?;
    let batches: Vec<RecordBatch> = answer.stream.try_collect().await.map_err(crate::sql::session::from_datafusion)?;
    let of = |batch: &RecordBatch| {
        let options = FormatOptions::default();
        let cells = ArrayFormatter::try_new(batch.column(0).as_ref(), &options).unwrap();
        (0..batch.num_rows()).map(|row| cells.value(row).to_string()).collect::<Vec<_>>()
    };
    Ok(batches.iter().flat_map(of).collect())
}

#[tokio::test]
async fn vectors_live_in_the_tail_the_log_and_lance() {
    let dir = tempfile::tempdir().unwrap();
    let wanted = ["[0.0, 1.0, 0.0]", "", "[1.0, 0.5, 0.25]"];
    let sql = "SELECT vector FROM piece ORDER BY name";
    let all = Scope::platform("p");
    {
        let store = opened(dir.path()).await;
        put(&store, "c", None, Some([1.0, 0.5, 0.25])).await.unwrap();
        put(&store, "a", None, Some([0.0, 1.0, 0.0])).await.unwrap();
        put(&store, "b", None, None).await.unwrap();
        assert_eq!(names(&store, &all, sql).await.unwrap(), wanted, "from the tail");
    }
    {
        let store = opened(dir.path()).await;
        assert_eq!(names(&store, &all, sql).await.unwrap(), wanted, "from the log");
        store.flush().await.unwrap();
        assert_eq!(names(&store, &all, sql).await.unwrap(), wanted, "from Lance");
        assert_eq!(names(&store, &all, "SELECT vector[2] FROM piece WHERE name = 'c'").await.unwrap(), ["0.5"]);
        let mut rows = Rows::new(&PIECE);
        for wrong in [vec![1.0, 2.0], vec![f32::NAN, 0.0, 0.0]] {
            rows.set("tenant", "a").set("name", "d").set("vector", Value::Vector(wrong));
            assert_eq!(rows.end_row().unwrap_err().kind(), Kind::Invalid);
        }
        store.close().await.unwrap();
    }
    // Any client of Lance searches the column.
    let uri = dir.path().join("tables/piece.lance");
    let dataset = lance::Dataset::open(uri.to_str().unwrap()).await.unwrap();
    let question = Float32Array::from(vec![0.0, 0.9, 0.1]);
    let mut scan = dataset.scan();
    scan.project(&["name", "vector"]).unwrap().nearest("vector", &question, 1).unwrap();
    let near: Vec<RecordBatch> = scan.try_into_stream().await.unwrap().try_collect().await.unwrap();
    assert_eq!(near[0]["name"].as_string::<i32>().value(0), "a");
    let vector = near[0]["vector"].as_fixed_size_list().value(0);
    assert_eq!(vector.as_primitive::<Float32Type>().values().to_vec(), [0.0, 1.0, 0.0]);
}

#[tokio::test]
async fn rows_are_shown_to_those_in_their_groups() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path()).await;
    put(&store, "open", None, None).await.unwrap();
    put(&store, "ops", Some(r#"["ops","sec"]"#), None).await.unwrap();
    put(&store, "torn", Some("[\"ops"), None).await.unwrap();
    for flushed in [false, true] {
        if flushed {
            store.flush().await.unwrap();
        }
        let see = |scope: Scope, sql: &'static str| {
            let store = store.clone();
            async move { names(&store, &scope, sql).await.unwrap() }
        };
        let sql = "SELECT name FROM piece ORDER BY 1";
        let in_ops = || Scope::tenant("a", "p").in_groups(["ops".to_owned()]);
        assert_eq!(see(Scope::platform("p"), sql).await, ["open", "ops", "torn"]);
        assert_eq!(see(Scope::tenant("a", "p"), sql).await, ["open"], "flushed: {flushed}");
        assert_eq!(see(in_ops(), sql).await, ["open", "ops"]);
        assert_eq!(see(Scope::tenant("b", "p").in_groups(["ops".to_owned()]), sql).await, Vec::<String>::new());
        // Nor may it be counted, or told by an error of the asker's own making.
        assert_eq!(see(Scope::tenant("a", "p"), "SELECT count(*) FROM piece").await, ["1"]);
        let trap = "SELECT name FROM piece WHERE CASE WHEN name = 'ops' THEN CAST(name AS BIGINT) > 0 ELSE true END";
        assert_eq!(see(Scope::tenant("a", "p"), trap).await, ["open"]);
        assert_eq!(see(in_ops(), "SELECT name FROM as_of('piece', 1000000) ORDER BY 1").await, ["open", "ops"]);
    }
}

#[tokio::test]
async fn a_function_in_from_answers_only_rows_of_the_asker() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path()).await;
    let sql = "SELECT tenant FROM one_of(-1) AS o";
    assert_eq!(names(&store, &Scope::tenant("a", "p"), sql).await.unwrap(), ["a"]);
    assert_eq!(names(&store, &Scope::platform("p"), sql).await.unwrap(), ["a"]);
    assert_eq!(names(&store, &Scope::tenant("b", "p"), sql).await.unwrap_err().kind(), Kind::Denied);
    for wrong in ["SELECT * FROM one_of()", "SELECT * FROM one_of(random())"] {
        assert_eq!(names(&store, &Scope::platform("p"), wrong).await.unwrap_err().kind(), Kind::Invalid, "{wrong}");
    }
}
