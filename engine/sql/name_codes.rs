//! Numbers for names, for the length of one question. Two functions share a register of names: one turns a dictionary
//! column into numbers that are the same in every batch, the other turns them back. What stands between them compares
//! numbers, not texts. They exist in plans only; no question can call them.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Int32Type, UInt32Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use parking_lot::Mutex;

/// Bytes of different names that one register holds.
const BYTES_MAX: usize = 128 << 20;
/// What a name costs beside its text.
const NAME_BYTES: usize = 48;
/// A place that has not been looked up yet.
const UNKNOWN: u32 = u32::MAX;

/// The function that numbers names, and the one that gives the names back.
#[derive(Debug)]
pub struct NameCodes {
    to_code: Arc<ScalarUDF>,
    to_name: Arc<ScalarUDF>,
}

impl NameCodes {
    /// Two functions over a register of their own.
    pub fn new() -> NameCodes {
        let register = Shared(Arc::default());
        let signature = Signature::any(1, Volatility::Immutable);
        let to_code = Codes { register: register.clone(), signature: signature.clone(), back: false };
        let to_name = Codes { register, signature, back: true };
        NameCodes {
            to_code: Arc::new(ScalarUDF::new_from_impl(to_code)),
            to_name: Arc::new(ScalarUDF::new_from_impl(to_name)),
        }
    }

    /// The number of a name: `UInt32`, null for null.
    pub fn code_of(&self, name: Expr) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(self.to_code.clone(), vec![name]))
    }

    /// The name of a number, as a dictionary.
    pub fn name_of(&self, code: Expr) -> Expr {
        Expr::ScalarFunction(ScalarFunction::new_udf(self.to_name.clone(), vec![code]))
    }
}

/// Whether a column holds names: a dictionary of texts.
pub fn is_name(kind: &DataType) -> bool {
    *kind == name_type()
}

fn name_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

#[derive(Debug, Default)]
struct Register {
    codes: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
    bytes: usize,
}

impl Register {
    fn code_of(&mut self, name: &str) -> Result<u32> {
        if let Some(code) = self.codes.get(name) {
            return Ok(*code);
        }
        self.bytes += name.len() + NAME_BYTES;
        if self.bytes > BYTES_MAX {
            return exec_err!(
                "a GROUP BY meets more than {BYTES_MAX} bytes of different names; CAST the column AS VARCHAR to group by text"
            );
        }
        let code = u32::try_from(self.names.len()).expect("the bytes are bounded");
        let name: Arc<str> = name.into();
        self.names.push(name.clone());
        self.codes.insert(name, code);
        Ok(code)
    }
}

/// A register is equal to itself only.
#[derive(Debug, Clone)]
struct Shared(Arc<Mutex<Register>>);

impl PartialEq for Shared {
    fn eq(&self, other: &Shared) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Shared {}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Codes {
    register: Shared,
    signature: Signature,
    /// From number to name.
    back: bool,
}

impl Codes {
    fn codes(&self, column: &dyn Array) -> Result<ArrayRef> {
        let Some(names) = column.as_any().downcast_ref::<DictionaryArray<Int32Type>>() else {
            return exec_err!("only names have numbers, not {}", column.data_type());
        };
        let values = names.values().as_string::<i32>();
        let nulls = names.logical_nulls();
        let mut known = vec![UNKNOWN; values.len()];
        let mut codes = Vec::with_capacity(names.len());
        for (row, key) in names.keys().values().iter().enumerate() {
            let at = *key as usize;
            codes.push(match known.get(at) {
                Some(&code) if code != UNKNOWN => code,
                // What stands in the place of a null may be anything.
                Some(_) if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) => {
                    known[at] = self.register.0.lock().code_of(values.value(at))?;
                    known[at]
                }
                _ => 0,
            });
        }
        Ok(Arc::new(UInt32Array::new(codes.into(), nulls)))
    }

    fn names(&self, column: &dyn Array) -> Result<ArrayRef> {
        let Some(codes) = column.as_primitive_opt::<UInt32Type>() else {
            return exec_err!("only numbers have names, not {}", column.data_type());
        };
        let register = self.register.0.lock();
        let (mut places, mut used) = (HashMap::new(), Vec::new());
        let place = |code: Option<u32>| {
            code.map(|code| {
                *places.entry(code).or_insert_with(|| {
                    used.push(&*register.names[code as usize]);
                    i32::try_from(used.len() - 1).expect("a batch has fewer rows")
                })
            })
        };
        let keys: Int32Array = codes.iter().map(place).collect();
        Ok(Arc::new(DictionaryArray::new(keys, Arc::new(StringArray::from(used)))))
    }
}

impl ScalarUDFImpl for Codes {
    fn name(&self) -> &str {
        if self.back { "name_of" } else { "code_of" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.back { name_type() } else { DataType::UInt32 })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let column = arguments.args[0].to_array(arguments.number_rows)?;
        let made = if self.back { self.names(&column)? } else { self.codes(&column)? };
        Ok(ColumnarValue::Array(made))
    }

    /// The name of a name's number is the name: a filter that moves below a `GROUP BY` looks at the column itself.
    fn simplify(&self, mut arguments: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if let (true, [Expr::ScalarFunction(inner)]) = (self.back, arguments.as_mut_slice()) {
            let twin = inner.func.inner().downcast_ref::<Codes>();
            if twin.is_some_and(|twin| !twin.back && twin.register == self.register) {
                return Ok(ExprSimplifyResult::Simplified(inner.args.swap_remove(0)));
            }
        }
        Ok(ExprSimplifyResult::Original(arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions() -> (Codes, Codes) {
        let (register, signature) = (Shared(Arc::default()), Signature::any(1, Volatility::Immutable));
        let to_code = Codes { register: register.clone(), signature: signature.clone(), back: false };
        (to_code, Codes { register, signature, back: true })
    }

    #[test]
    fn a_name_has_one_number_in_every_batch() {
        let (to_code, to_name) = functions();
        let first: DictionaryArray<Int32Type> = [Some("a"), None, Some("b")].into_iter().collect();
        let second: DictionaryArray<Int32Type> = [Some("b"), Some("c"), Some("a")].into_iter().collect();
        let codes = |column: &DictionaryArray<Int32Type>| to_code.codes(column).expect("a column of names");
        assert_eq!(codes(&first).as_primitive::<UInt32Type>(), &UInt32Array::from(vec![Some(0), None, Some(1)]));
        assert_eq!(codes(&second).as_primitive::<UInt32Type>(), &UInt32Array::from(vec![1, 2, 0]));
        let back = to_name.names(&codes(&second)).expect("numbers of names");
        assert_eq!(back.as_dictionary::<Int32Type>(), &second);
    }

    #[test]
    fn other_columns_have_no_numbers() {
        let (to_code, to_name) = functions();
        assert!(to_code.codes(&StringArray::from(vec!["a"])).is_err());
        assert!(to_name.names(&StringArray::from(vec!["a"])).is_err());
    }
}
