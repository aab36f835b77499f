//! Prices in SQL: `llm_cost`, `llm_cost_detail` and `price_at`. What has no price is NULL, so that a sum without it can be
//! told from a sum of zeros; `llm_cost_detail` says why.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use engine::arrow::array::{Array, ArrayRef, AsArray, Decimal128Builder, StringBuilder};
use engine::arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use engine::datafusion::common::{Result, ScalarValue, plan_err};
use engine::datafusion::error::DataFusionError;
use engine::datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use engine::sql::functions::{Function, FunctionDoc};
use engine::table::{DECIMAL_PRECISION, DECIMAL_SCALE};
use engine::{Kind, Type};

use super::book::{Ask, Book, Prices};
use super::cost::{Cost, cost};
use super::usage::Usage;

const USAGE_ARGUMENTS: &str = "model, provider, input_tokens, output_tokens [, cache_read, cache_write, cache_write_1h, reasoning, audio_input [, service_tier [, at]]]";
const COST_SIGNATURE: &str = "llm_cost(model, provider, usage_json [, at]), llm_cost(model, provider, input_tokens, output_tokens [, cache_read, cache_write, cache_write_1h, reasoning, audio_input [, service_tier [, at]]])";
const DETAIL_SIGNATURE: &str = "llm_cost_detail(…)";
const PRICE_SIGNATURE: &str = "price_at(model, provider, dimension [, at [, service_tier [, input_tokens]]])";

/// The functions, over the shared book.
pub fn functions(prices: &Arc<Prices>) -> Vec<Function> {
    let function = |make: Make, name, signature, sentence, example| {
        let udf = PriceFunction {
            name,
            make,
            prices: Arc::clone(prices),
            signature: Signature::user_defined(Volatility::Stable),
        };
        let doc = FunctionDoc { name, signature, sentence, example };
        Function { udf: Arc::new(ScalarUDF::new_from_impl(udf)), doc }
    };
    let mut all = vec![
        function(
            Make::Cost,
            "llm_cost",
            COST_SIGNATURE,
            "What a model's request cost, by the prices of its day (`model_price`); NULL where the model, or a kind of token, has no price. Input includes what the cache read and wrote, output includes reasoning; `usage_json` is a provider's own usage object. Without `at`, today's prices.",
            "llm_cost('gpt-4o', 'openai', 1000, 500)",
        ),
        function(
            Make::Detail,
            "llm_cost_detail",
            DETAIL_SIGNATURE,
            "The same as JSON: `total_cost`, `prompt_cost`, `completion_cost` as texts, the list and model that priced it, and a line for each kind of token; or `error`, why it is unpriced.",
            "llm_cost_detail('gpt-4o', 'openai', '{\"prompt_tokens\": 1000, \"completion_tokens\": 500}')",
        ),
        function(
            Make::Price,
            "price_at",
            PRICE_SIGNATURE,
            "The price of one unit of a dimension (`input`, `output`, `cache_read` …) at an instant, for a tier of service and a length of input; NULL where there is none.",
            "price_at('gpt-4o', 'openai', 'input')",
        ),
    ];
    all.extend(crate::exchange::functions(prices));
    all
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Make {
    Cost,
    Detail,
    Price,
}

#[derive(Debug)]
struct PriceFunction {
    name: &'static str,
    make: Make,
    prices: Arc<Prices>,
    signature: Signature,
}

// One book serves the process, so a function is what its name says.
impl PartialEq for PriceFunction {
    fn eq(&self, other: &Self) -> bool {
        self.make == other.make && Arc::ptr_eq(&self.prices, &other.prices)
    }
}

impl Eq for PriceFunction {}

impl Hash for PriceFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.make.hash(state);
    }
}

fn instant() -> DataType {
    Type::Time.arrow()
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

impl PriceFunction {
    fn usage(&self) -> String {
        match self.make {
            Make::Price => PRICE_SIGNATURE.to_owned(),
            Make::Cost | Make::Detail => {
                format!("{0}(model, provider, usage_json [, at]), {0}({USAGE_ARGUMENTS})", self.name)
            }
        }
    }

    fn shapes(&self, types: &[DataType]) -> Option<Vec<DataType>> {
        let json = types.len() <= 4 && types.get(2).is_some_and(is_text);
        let all = match self.make {
            Make::Price => [vec![DataType::Utf8; 3], vec![instant(), DataType::Utf8, DataType::Int64]].concat(),
            _ if json => vec![DataType::Utf8, DataType::Utf8, DataType::Utf8, instant()],
            _ => [vec![DataType::Utf8; 2], vec![DataType::Int64; 7], vec![DataType::Utf8, instant()]].concat(),
        };
        let least = if json || self.make == Make::Price { 3 } else { 4 };
        (least..=all.len()).contains(&types.len()).then(|| all[..types.len()].to_vec())
    }
}

impl ScalarUDFImpl for PriceFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match self.shapes(types) {
            Some(shapes) => Ok(shapes),
            None => plan_err!("{} does not take these arguments: {}", self.name, self.usage()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.make {
            Make::Cost | Make::Price => DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
            Make::Detail => DataType::Utf8,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let all_constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if all_constant { 1 } else { args.number_rows };
        let columns: Vec<ArrayRef> = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<_>>()?;
        let asked = Asked { columns: &columns, now: self.prices.now() };
        let result = self.column(&asked, rows)?;
        match all_constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?)),
            false => Ok(ColumnarValue::Array(result)),
        }
    }
}

impl PriceFunction {
    fn column(&self, asked: &Asked<'_>, rows: usize) -> Result<ArrayRef> {
        let book = self.prices.book();
        if self.make == Make::Detail {
            let mut texts = StringBuilder::new();
            for row in 0..rows {
                texts.append_value(match asked.cost(&book, row) {
                    Ok(cost) => cost.to_json(),
                    Err(error) => serde_json::json!({ "error": error.to_string() }).to_string(),
                });
            }
            return Ok(Arc::new(texts.finish()));
        }
        let mut units = Decimal128Builder::new().with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE)?;
        for row in 0..rows {
            units.append_option(match self.make {
                Make::Price => asked.price(&book, row),
                _ => match asked.cost(&book, row) {
                    Ok(cost) => Some(cost.total()),
                    Err(unpriced) if unpriced.kind() == Kind::NotFound => None,
                    Err(wrong) => return Err(DataFusionError::External(Box::new(wrong))),
                },
            });
        }
        Ok(Arc::new(units.finish()))
    }
}

/// The arguments of a call.
struct Asked<'a> {
    columns: &'a [ArrayRef],
    now: i64,
}

impl Asked<'_> {
    fn text(&self, column: usize, row: usize) -> &str {
        let texts = self.columns.get(column).and_then(|array| array.as_string_opt::<i32>());
        texts.filter(|texts| texts.is_valid(row)).map_or("", |texts| texts.value(row))
    }

    /// A count; NULL is none.
    fn count(&self, column: usize, row: usize) -> i64 {
        let counts = self.columns.get(column).and_then(|array| array.as_primitive_opt::<Int64Type>());
        counts.filter(|counts| counts.is_valid(row)).map_or(0, |counts| counts.value(row))
    }

    fn at(&self, column: usize, row: usize) -> i64 {
        let times = self.columns.get(column).and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
        times.filter(|times| times.is_valid(row)).map_or(self.now, |times| times.value(row))
    }

    fn cost(&self, book: &Book, row: usize) -> engine::Result<Cost> {
        let json = self.columns.len() <= 4 && self.columns[2].as_string_opt::<i32>().is_some();
        let (usage, at) = match json {
            true => (Usage::from_json(self.text(2, row))?, self.at(3, row)),
            false => {
                let usage = Usage {
                    input: self.count(2, row),
                    output: self.count(3, row),
                    cache_read: self.count(4, row),
                    cache_write: self.count(5, row),
                    cache_write_1h: self.count(6, row),
                    reasoning: self.count(7, row),
                    audio_input: self.count(8, row),
                    audio_output: 0,
                    service_tier: self.text(9, row).to_owned(),
                };
                (usage, self.at(10, row))
            }
        };
        cost(book, self.text(0, row), self.text(1, row), &usage, at)
    }

    fn price(&self, book: &Book, row: usize) -> Option<i128> {
        book.price(&Ask {
            model: self.text(0, row),
            provider: self.text(1, row),
            dimension: self.text(2, row),
            at: self.at(3, row),
            service_tier: self.text(4, row),
            input_tokens: self.count(5, row),
        })
    }
}
