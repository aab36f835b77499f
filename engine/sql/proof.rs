//! The SQL surface as tables of questions and answers, and decimals against Python's `decimal`.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Int32Type, i256};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::execution::SessionStateBuilder;
use datafusion::prelude::SessionContext;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::sql::decimal::{Op, Outcome, Scales};
use crate::sql::{Names, install, parse};

fn session() -> SessionContext {
    SessionContext::new_with_state(install(SessionStateBuilder::new().with_default_features()).build())
}

/// A small cost table: dictionary-encoded names, JSON tags, money, a time.
fn costs() -> RecordBatch {
    let services = arrow::array::DictionaryArray::<Int32Type>::from_iter([
        Some("Compute"),
        Some("Storage"),
        None,
        Some("Compute"),
    ]);
    let tags: arrow::array::DictionaryArray<Int32Type> = [
        Some(r#"{"team": "rail", "n": 1.50, "a b": {"list": [1, "x", null]}, "on": true}"#),
        Some("not json"),
        None,
        Some(r#"{"team": null, "list": [{"k": "v"}]}"#),
    ]
    .into_iter()
    .collect();
    let costs =
        Decimal128Array::from(vec![Some(1_500_000_000_000_000_000), Some(0), None, Some(-250_000_000_000_000_000)]);
    let day = 86_400_000_000;
    let may = 1_777_593_600_000_000;
    let starts =
        TimestampMicrosecondArray::from(vec![may, may + day, may + 31 * day, may + 40 * day]).with_timezone("UTC");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("ServiceName", Arc::new(services)),
        ("Tags", Arc::new(tags)),
        ("BilledCost", Arc::new(costs.with_precision_and_scale(38, 18).unwrap())),
        ("ChargePeriodStart", Arc::new(starts)),
        ("n", Arc::new(Int32Array::from(vec![7, 0, 3, 4]))),
        ("plain", Arc::new(StringArray::from(vec!["a", "b", "c", "d"]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

async fn ask(ctx: &SessionContext, sql: &str) -> Result<String, String> {
    let names = Names::new(["costs", "ServiceName", "Tags", "BilledCost", "ChargePeriodStart", "n", "plain", "v", "g"]);
    let statement = parse(sql, &names, &[]).map_err(|e| e.to_string())?;
    let plan = ctx.state().statement_to_plan(statement).await.map_err(|e| e.to_string())?;
    let batches = ctx.execute_logical_plan(plan).await.map_err(|e| e.to_string())?.collect().await;
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches.map_err(|e| e.to_string())? {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join("|"));
        }
    }
    Ok(rows.join("; "))
}

async fn check_all(cases: &[(&str, &str)]) {
    let ctx = session();
    ctx.register_batch("costs", costs()).unwrap();
    for (sql, expected) in cases {
        assert_eq!(ask(&ctx, sql).await.as_deref(), Ok(*expected), "{sql}");
    }
}

#[tokio::test]
async fn money_is_exact_and_zero_divides_to_null() {
    check_all(&[
        ("SELECT BilledCost * 1.19 FROM costs WHERE n = 7", "1.785000000000000000"),
        (
            "SELECT SUM(BilledCost) * 1000000, AVG(BilledCost) FROM costs",
            "1250000.000000000000000000|0.416666666666666667",
        ),
        (
            "SELECT SUM(BilledCost) / SUM(n), 1.0 / 0, 1 / 0, 1e0 / 0.0, 5 % 0, 5.5 % 2, 7 / 2 FROM costs",
            "0.089285714285714286|NULL|NULL|NULL|NULL|1.5|3",
        ),
        (
            "SELECT CAST(n AS DOUBLE) / 0, n / n, n % n FROM costs WHERE n IN (0, 7) ORDER BY n",
            "NULL|NULL|NULL; NULL|1|0",
        ),
        (
            "SELECT ServiceName, SUM(BilledCost) AS s FROM costs GROUP BY ServiceName HAVING s > 0",
            "Compute|1.250000000000000000",
        ),
        (
            "SELECT SUM(DISTINCT BilledCost), SUM(BilledCost) FILTER (WHERE n > 5) FROM costs",
            "1.250000000000000000|1.500000000000000000",
        ),
        (
            "SELECT n, SUM(BilledCost) OVER (ORDER BY n ROWS 1 PRECEDING) FROM costs ORDER BY n",
            "0|0.000000000000000000; 3|0.000000000000000000; 4|-0.250000000000000000; 7|1.250000000000000000",
        ),
        ("WITH c AS (SELECT AVG(BilledCost) a FROM costs) SELECT a / 2 FROM c", "0.208333333333333334"),
        ("SELECT SUM(BilledCost) FROM costs WHERE n > 100", "NULL"),
        ("SELECT BilledCost * CAST(2 AS DOUBLE) FROM costs WHERE n = 7", "3.0"),
        (
            "SELECT 12345678901234567890.123456789012345678 * 2, 0.000000000000000000000001 * 3, 1e-7 * 1e-7",
            "24691357802469135780.246913578024691356|0.000000000000000000000003|0.00000000000001",
        ),
        (
            "SELECT '3' * BilledCost, BilledCost + '0.5', BilledCost > '1' FROM costs WHERE n = 7",
            "4.500000000000000000|2.000000000000000000|true",
        ),
    ])
    .await;
    let ctx = session();
    for sql in [
        "SELECT 99999999999999999999999999999999999999 * 10.0",
        "SELECT 99999999999999999999999999999999999999.0 + 99999999999999999999999999999999999999",
        "SELECT SUM(v) FROM (VALUES (99999999999999999999999999999999999999.), (99999999999999999999999999999999999999.)) t(v)",
    ] {
        let error = ask(&ctx, sql).await.unwrap_err();
        assert!(error.contains("decimal overflow") || error.contains("precision"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn json_is_read_and_broken_json_is_null() {
    check_all(&[
        ("SELECT Tags ->> 'team', Tags -> 'team', tags[\"n\"], TAGS['on'] FROM costs",
            "rail|\"rail\"|1.50|true; NULL|NULL|NULL|NULL; NULL|NULL|NULL|NULL; NULL|null|NULL|NULL"),
        ("SELECT Tags -> 'a b' -> 'list' ->> 1, Tags -> 'a b' -> 'list' -> -1 FROM costs WHERE Tags ->> 'team' = 'rail'", "x|null"),
        ("SELECT json_value(Tags, '$.n'), json_query(Tags, '$.n'), json_extract(Tags, '$.\"a b\".list[*]') FROM costs WHERE n = 7",
            "1.50|NULL|[1,\"x\",null]"),
        ("SELECT json_extract_string(Tags, '$.list[0].k'), json_array_length(Tags, '$.list'), json_exists(Tags, '$.team'), json_type(Tags) FROM costs WHERE n = 4",
            "v|1|true|object"),
        ("SELECT json_object_keys(Tags), json_valid(Tags) FROM costs WHERE n IN (0, 4) ORDER BY n", "NULL|false; [team, list]|true"),
        ("SELECT n, e ->> 'k' FROM costs CROSS JOIN UNNEST(json_extract_array(Tags, '$.list')) AS e", "4|v"),
        ("SELECT n, j.k FROM costs, JSON_TABLE(Tags, '$.list[*]' COLUMNS (k VARCHAR(10) PATH '$.k')) AS j", "4|v"),
        ("SELECT json_unquote(json_extract(Tags, '$.team')), json_contains_path(Tags, 'one', '$.x', '$.n') FROM costs WHERE n = 7", "rail|true"),
        ("SELECT Tags ->> plain FROM costs WHERE n = 7", "NULL"),
        ("SELECT json_extract('{\"a\"', '$.a'), json_value('{}', 'no path'), json_extract('[1]', '$[')", "NULL|NULL|NULL"),
    ])
    .await;
}

#[tokio::test]
async fn time_is_utc_and_periods_exclude_their_end() {
    check_all(&[
        ("SELECT month(ChargePeriodStart), year(ChargePeriodStart), date(ChargePeriodStart), quarter('2026-08-01') FROM costs WHERE n = 7",
            "5|2026|2026-05-01|3"),
        ("SELECT n FROM costs WHERE period(ChargePeriodStart, '2026-05') ORDER BY n", "0; 7"),
        ("SELECT period_start('2026-Q2'), period_end('2026-05')", "2026-04-01T00:00:00Z|2026-06-01T00:00:00Z"),
        ("SELECT time_bucket(INTERVAL '1 month', ChargePeriodStart), COUNT(*) FROM costs GROUP BY 1 ORDER BY 1",
            "2026-05-01T00:00:00Z|2; 2026-06-01T00:00:00Z|2"),
        ("SELECT time_bucket('1 week', '2026-05-07'), time_bucket('15 minutes', '2026-05-07T10:17:00')",
            "2026-05-04T00:00:00Z|2026-05-07T10:15:00Z"),
        ("SELECT to_char(ChargePeriodStart, 'YYYY-MM'), DATE_TRUNC(ChargePeriodStart, MONTH) FROM costs WHERE n = 3",
            "2026-06|2026-06-01T00:00:00Z"),
        ("SELECT DATE_ADD('2026-01-31', INTERVAL 1 MONTH), datediff('day', '2026-05-01', '2026-05-31'), TIMESTAMP '9999-12-31 00:00:00'",
            "2026-02-28T00:00:00Z|30|9999-12-31T00:00:00Z"),
        ("SELECT n FROM costs WHERE ChargePeriodStart >= '2026-06-01' ORDER BY 1", "3; 4"),
    ])
    .await;
}

#[tokio::test]
async fn idioms_of_other_databases_run() {
    check_all(&[
        ("SELECT IF(n > 5, 'big', 'small') AS Size, COUNTIF(n > 3) FROM costs GROUP BY IF(n > 5, 'big', 'small') AS x ORDER BY size", "big|1; small|1"),
        ("SELECT ServiceName, n FROM costs WHERE n = 7 GROUP BY ServiceName", "Compute|7"),
        ("SELECT LISTAGG(plain, ',') WITHIN GROUP (ORDER BY plain DESC) FROM costs", "d,c,b,a"),
        ("SELECT TOP 1 plain FROM costs ORDER BY plain DESC", "d"),
        ("SELECT plain FROM costs ORDER BY plain FETCH FIRST 1 ROW ONLY", "a"),
        ("SELECT SAFE_DIVIDE(n, 0), DIV0(n, 0), COUNT(*) OVER ()::float FROM costs WHERE n = 7", "NULL|0|1.0"),
        ("SELECT MAX_BY(plain, n), SUM(CAST(plain AS UNSIGNED)) FROM costs WHERE plain = 'zz'", "NULL|NULL"),
        ("SELECT Plain AS Label FROM costs QUALIFY ROW_NUMBER() OVER (ORDER BY label DESC) = 1", "d"),
    ])
    .await;
}

/// Compares with Python and names the first differences.
const PYTHON: &str = r#"
import json, sys
from decimal import Decimal, getcontext, ROUND_HALF_EVEN
getcontext().prec = 200
checked = 0
for line in sys.stdin:
    op, values, scale, ours = json.loads(line)
    d = [Decimal(v) for v in values]
    if op in ('/', '%') and d[1] == 0:
        want = 'null'
    else:
        raw = {'*': lambda: d[0] * d[1], '/': lambda: d[0] / d[1], '%': lambda: d[0] % d[1], '+': lambda: d[0] + d[1],
               '-': lambda: d[0] - d[1], 'SUM': lambda: sum(d), 'AVG': lambda: sum(d) / len(d)}[op]()
        want = raw.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_EVEN)
        want = 'overflow' if abs(want) >= Decimal(10) ** (38 - scale) else want
    same = want == ours if isinstance(want, str) or ours in ('null', 'overflow') else want == Decimal(ours)
    if not same:
        print(op, values, scale, 'ours', ours, 'python', want)
        sys.exit(1)
    checked += 1
print('checked', checked)
"#;

fn python(cases: &[serde_json::Value]) {
    let spawned = Command::new("python3").args(["-c", PYTHON]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        eprintln!("SKIPPED: python3 is not installed, decimals were not compared with Python's");
        return;
    };
    let lines: String = cases.iter().map(|case| format!("{case}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim() == format!("checked {}", cases.len()), "{said}");
}

/// A number of up to `digits` digits as an unscaled value; small, large, negative and round ones all occur.
fn number(random: &mut StdRng, digits: u32) -> i128 {
    let size = random.random_range(0..=digits);
    let value = random.random_range(0..10_i128.pow(size));
    let round = 10_i128.pow(random.random_range(0..=size / 2));
    let value = if random.random_bool(0.3) { value / round * round } else { value };
    if random.random_bool(0.4) { -value } else { value }
}

fn written(value: i128, scale: i32) -> String {
    format!("{value}E{}", -scale)
}

#[test]
fn operators_equal_pythons_decimal() {
    let mut random = StdRng::seed_from_u64(18);
    let mut cases = Vec::new();
    for _ in 0..4_000 {
        let op = [Op::Add, Op::Subtract, Op::Multiply, Op::Divide, Op::Modulo][random.random_range(0..5)];
        let scales = [0, 2, 7, 12, 18, 24, 38];
        let (left_scale, right_scale) = (scales[random.random_range(0..7)], scales[random.random_range(0..7)]);
        let (left, right) = (number(&mut random, 38), number(&mut random, 38));
        let result = i32::from(op.scale(left_scale as i8, right_scale as i8));
        let scales = Scales { left: left_scale, right: right_scale, result };
        let ours = match op.apply(i256::from_i128(left), i256::from_i128(right), scales) {
            Outcome::Value(value) => written(value, result),
            Outcome::Null => "null".to_owned(),
            Outcome::Overflow => "overflow".to_owned(),
        };
        cases.push(serde_json::json!([
            op.sign(),
            [written(left, left_scale), written(right, right_scale)],
            result,
            ours
        ]));
    }
    python(&cases);
}

#[tokio::test]
async fn aggregates_equal_pythons_decimal() {
    let mut random = StdRng::seed_from_u64(76);
    let mut cases = Vec::new();
    for scale in [0_i8, 2, 18, 24, 38] {
        // An average has at least 18 digits after the point, so long whole numbers would not fit.
        let digits = if scale < 18 { 18 } else { 36 };
        let rows: Vec<(i32, i128)> =
            (0..2_000).map(|_| (random.random_range(0..60), number(&mut random, digits))).collect();
        let groups: ArrayRef = Arc::new(Int32Array::from_iter_values(rows.iter().map(|r| r.0)));
        let values =
            Decimal128Array::from_iter_values(rows.iter().map(|r| r.1)).with_precision_and_scale(38, scale).unwrap();
        let ctx = session();
        let values: ArrayRef = Arc::new(values);
        ctx.register_batch("t", RecordBatch::try_from_iter([("g", groups), ("v", values)]).unwrap()).unwrap();
        let answer = ask(&ctx, "SELECT g, SUM(v), AVG(v) FROM t GROUP BY g").await;
        for row in answer.unwrap().split("; ") {
            let [group, sum, average] = row.split('|').collect::<Vec<_>>().try_into().unwrap();
            let group: i32 = group.parse().unwrap();
            let members: Vec<String> =
                rows.iter().filter(|r| r.0 == group).map(|r| written(r.1, scale.into())).collect();
            cases.push(serde_json::json!(["SUM", members, scale, sum]));
            cases.push(serde_json::json!(["AVG", members, scale.max(18), average]));
        }
    }
    assert!(cases.len() >= 300);
    python(&cases);
}
