//! Which column of a file goes where: seen from the header alone, before a row is read.

use std::collections::HashMap;

use engine::{Error, Result, Table};
use ledger::focus::{Dataset, Version};

use super::{aws, azure, mapping, oci};

/// What kind of cost data a run delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A FOCUS dataset.
    Focus(Dataset, Version),
    /// Azure's own export of what is billed, mapped to FOCUS by the rules in `azure`.
    AzureActual,
    /// Azure's own export of amortised cost, mapped to FOCUS by the rules in `azure`.
    AzureAmortized,
    /// Azure's own export where nothing is paid by a commitment, so that what is billed is what it costs.
    AzureCost,
    /// AWS's Cost and Usage Report, mapped to FOCUS by the rules in `aws`.
    AwsCur,
    /// Oracle Cloud's cost report, mapped to FOCUS by the rules in `oci`.
    OciCost,
}

impl Form {
    /// Name in `cost_run` and in the name of a set.
    pub fn dataset(self) -> &'static str {
        match self {
            Form::Focus(Dataset::CostAndUsage, _) => "cost_and_usage",
            Form::Focus(Dataset::ContractCommitment, _) => "contract_commitment",
            Form::Focus(Dataset::InvoiceDetail, _) => "invoice_detail",
            Form::Focus(Dataset::BillingPeriod, _) => "billing_period",
            Form::AzureActual => "azure_actual_cost",
            Form::AzureAmortized => "azure_amortized_cost",
            Form::AzureCost => "azure_cost",
            Form::AwsCur => "aws_cur",
            Form::OciCost => "oci_cost",
        }
    }

    /// Name in `x_source_schema`.
    pub fn schema(self) -> String {
        match self {
            Form::Focus(_, version) => format!("FOCUS {}", version.as_str()),
            Form::AzureActual => "Azure ActualCost".to_owned(),
            Form::AzureAmortized => "Azure AmortizedCost".to_owned(),
            Form::AzureCost => "Azure cost export".to_owned(),
            Form::AwsCur => "AWS CUR".to_owned(),
            Form::OciCost => "OCI cost report".to_owned(),
        }
    }

    /// Table of its rows.
    pub fn table(self) -> &'static Table {
        match self {
            Form::Focus(Dataset::ContractCommitment, _) => &ledger::CONTRACT_COMMITMENT_TABLE,
            Form::Focus(Dataset::InvoiceDetail, _) => &ledger::INVOICE_DETAIL_TABLE,
            Form::Focus(Dataset::BillingPeriod, _) => &ledger::BILLING_PERIOD_TABLE,
            _ => &ledger::COST_LINE,
        }
    }
}

/// The names in a file's first line, cleaned.
#[derive(Debug, Clone)]
pub struct Header {
    /// As the file spells them, without blanks around; a name in brackets behind a translated one is taken
    /// (`Maßeinheit (UnitOfMeasure)`).
    pub names: Vec<String>,
    /// The same in lower case.
    pub lower: Vec<String>,
}

impl Header {
    /// Cleans the names; refuses a name that stands there twice, whatever its case.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>) -> Result<Header> {
        let names: Vec<String> = names.enumerate().map(|(at, name)| clean(name, at)).collect();
        let lower: Vec<String> = names.iter().map(|n| n.to_lowercase()).collect();
        let mut seen = HashMap::new();
        // Tags are told apart by case where their providers do.
        let is_tag = |name: &str| name.starts_with("resourcetags/") || name.starts_with("tags/");
        for (at, name) in lower.iter().enumerate().filter(|(_, name)| !is_tag(name)) {
            if let Some(first) = seen.insert(name.as_str(), at) {
                let message =
                    format!("column {} appears twice: it is column {} and column {}", names[at], first + 1, at + 1);
                return Err(Error::invalid(message));
            }
        }
        Ok(Header { names, lower })
    }

    /// Position of a column by its lower-case name.
    pub fn position(&self, lower: &str) -> Option<usize> {
        self.lower.iter().position(|n| n == lower)
    }
}

fn clean(name: &str, at: usize) -> String {
    let name = name.trim().trim_matches('\u{feff}').trim();
    let inner = name.strip_suffix(')').and_then(|n| n.rsplit_once('(')).map(|(_, inner)| inner.trim());
    match inner {
        Some(inner) if !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
            inner.to_owned()
        }
        // A comma too many at the end of a header is common; the cells below it are kept all the same.
        _ if name.is_empty() => format!("x_column_{}", at + 1),
        _ => name.to_owned(),
    }
}

/// Columns of our tables that a file cannot fill.
const OWN: [&str; 12] = [
    "x_tenant",
    "x_set",
    "x_source_run_id",
    "x_source_row",
    "x_source_schema",
    "x_charge_id",
    "x_raw",
    "x_extra",
    "x_estimated_cost",
    "x_estimated_currency",
    "x_estimate_delta",
    "x_supersedes",
];

/// Where the cells of a file go.
#[derive(Debug, Clone)]
pub struct Layout {
    /// What the file is.
    pub form: Form,
    /// Cells that become columns of the table: (column of the table, cell of the row).
    pub targets: Vec<(usize, usize)>,
    /// Cells that are kept by name in `x_extra`.
    pub extras: Vec<(String, usize)>,
    /// The cell that names a row's tenant.
    pub tenant: Option<usize>,
}

impl Layout {
    /// The layout of a file with this header. `hint` is what a manifest or the file's name says about Azure's own forms.
    pub fn of(header: &Header, hint: Option<Form>) -> Result<Layout> {
        if let Some((dataset, version)) = Dataset::of_columns(&header.lower) {
            return Ok(Layout::by_name(Form::Focus(dataset, version), header));
        }
        if aws::is_native(header) {
            return Ok(Layout::mapped(Form::AwsCur, header));
        }
        if oci::is_native(header) {
            return Ok(Layout::mapped(Form::OciCost, header));
        }
        if !azure::is_native(header) {
            let first: Vec<&str> = header.names.iter().take(6).map(String::as_str).collect();
            return Err(Error::invalid(format!(
                "no cost data that is known here: it has neither the columns of a FOCUS dataset nor those of an Azure cost export, an AWS Cost and Usage Report or an OCI cost report (first columns: {})",
                first.join(", ")
            )));
        }
        match hint {
            Some(form @ (Form::AzureActual | Form::AzureAmortized | Form::AzureCost)) => {
                Ok(Layout::mapped(form, header))
            }
            _ => Err(Error::invalid(
                "an Azure cost export that may be ActualCost or AmortizedCost, which have the same columns: deliver it with its manifest.json, or with `ActualCost` or `AmortizedCost` in its name",
            )),
        }
    }

    fn by_name(form: Form, header: &Header) -> Layout {
        let table = form.table();
        let known: HashMap<String, usize> =
            table.columns.iter().enumerate().map(|(at, c)| (c.name.to_lowercase(), at)).collect();
        let mut layout = Layout { form, targets: Vec::new(), extras: Vec::new(), tenant: header.position("x_tenant") };
        for (cell, lower) in header.lower.iter().enumerate() {
            match known.get(lower) {
                Some(&column) if !OWN.contains(&lower.as_str()) => layout.targets.push((column, cell)),
                _ => layout.extras.push((header.names[cell].clone(), cell)),
            }
        }
        layout
    }

    /// A provider's own form: the mapped cells stand before the file's, and all of the file's are kept beside them.
    fn mapped(form: Form, header: &Header) -> Layout {
        let table = form.table();
        let position = |name: &str| table.position(name).expect("the mapping names columns of cost_line");
        let columns = mapping::columns(form);
        let targets = columns.iter().enumerate().map(|(cell, name)| (position(name), cell)).collect();
        let extras = header.names.iter().enumerate().map(|(at, n)| (n.clone(), columns.len() + at)).collect();
        Layout { form, targets, extras, tenant: None }
    }

    /// The cell that fills a column of the table.
    pub fn cell(&self, column: &str) -> Option<usize> {
        let column = self.form.table().position(column)?;
        self.targets.iter().find(|(c, _)| *c == column).map(|(_, cell)| *cell)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn layout(header: &str) -> Result<Layout> {
        Layout::of(&Header::new(header.split(','))?, None)
    }

    #[test]
    fn names_are_found_in_any_case_and_the_rest_is_kept() {
        let layout = layout("BILLEDCOST, InvoiceID ,tags,Id,x_Foo,x_app,x_set").unwrap();
        assert_eq!(layout.form, Form::Focus(Dataset::CostAndUsage, Version::V1_2));
        assert_eq!(
            (layout.cell("BilledCost"), layout.cell("InvoiceId"), layout.cell("Tags"), layout.cell("x_app")),
            (Some(0), Some(1), Some(2), Some(5))
        );
        assert_eq!(layout.extras.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["Id", "x_Foo", "x_set"]);
    }

    #[test]
    fn a_column_twice_refuses_the_file() {
        let error = layout("BilledCost,Tags,tags").unwrap_err();
        assert_eq!(error.to_string(), "column tags appears twice: it is column 2 and column 3");
    }

    #[test]
    fn translated_names_and_marks_are_cleaned() {
        let header =
            Header::new(["\u{feff}Maßeinheit (UnitOfMeasure)", "Kosten (brutto, netto)", ""].into_iter()).unwrap();
        assert_eq!(header.names, ["UnitOfMeasure", "Kosten (brutto, netto)", "x_column_3"]);
    }

    #[test]
    fn what_is_no_cost_data_is_refused_with_its_columns() {
        assert!(layout("a,b").unwrap_err().to_string().contains("first columns: a, b"));
    }
}
