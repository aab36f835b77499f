//! Providers' own forms as FOCUS rows: one mapper a form, seen from the header, and from the rows where two forms have the
//! same columns.

use std::path::Path;
use std::sync::Arc;

use engine::Result;
use ledger::decimal;

use super::batch::Cells;
use super::layout::{Form, Header};
use super::records::{Records, RowCells};
use super::{aws, azure, oci};

/// Makes the FOCUS cells of a row in a provider's own form.
pub trait Mapping: Send {
    /// The cells, in the order of the form's columns ([`columns`]).
    fn map(&self, row: &dyn RowCells) -> Vec<Option<String>>;
}

impl Mapping for azure::Mapper {
    fn map(&self, row: &dyn RowCells) -> Vec<Option<String>> {
        azure::Mapper::map(self, &row)
    }
}

/// The FOCUS columns that a form's mapper fills; none for a FOCUS file.
pub fn columns(form: Form) -> &'static [&'static str] {
    match form {
        Form::Focus(..) => &[],
        Form::AzureActual | Form::AzureAmortized | Form::AzureCost => &azure::MAPPED,
        Form::AwsCur => &aws::MAPPED,
        Form::OciCost => &oci::MAPPED,
    }
}

/// The mapper of a form.
pub fn mapper(header: &Header, form: Form) -> Option<Box<dyn Mapping>> {
    match form {
        Form::Focus(..) => None,
        Form::AzureActual | Form::AzureAmortized | Form::AzureCost => Some(Box::new(azure::Mapper::new(header, form))),
        Form::AwsCur => Some(Box::new(aws::Mapper::new(header))),
        Form::OciCost => Some(Box::new(oci::Mapper::new(header))),
    }
}

/// Azure's ActualCost and AmortizedCost have the same columns. What the rows say about commitments tells them apart:
/// amortised rows know what went unused and no purchase of a commitment; actual rows cost nothing where a commitment
/// paid. Where no commitment is, both are the same, and both costs are stated.
pub fn told_by_rows(path: &Path) -> Result<Form> {
    let mut records = Records::open(path, Arc::new(|_| {}))?;
    let at = |names: &[&str]| names.iter().find_map(|name| records.header.position(name));
    let (charge, model) = (at(&["chargetype"]), at(&["pricingmodel"]));
    let commitments = [at(&["benefitid"]), at(&["reservationid"])];
    let cost = at(azure::COST);
    let mut found = None;
    while found.is_none() {
        let more = records.next(|row| {
            let cell = |at: Option<usize>| at.and_then(|at| row.cell(at)).unwrap_or_default().to_ascii_lowercase();
            let is_committed = commitments.iter().any(|at| !cell(*at).is_empty());
            let is_paid = matches!(cell(model).as_str(), "reservation" | "savingsplan");
            let is_free = decimal::parse(&cell(cost)).is_ok_and(|cost| cost.units == 0);
            found = match cell(charge).as_str() {
                "unusedreservation" | "unusedsavingsplan" => Some(Form::AzureAmortized),
                "purchase" if is_committed => Some(Form::AzureActual),
                "usage" if is_committed && is_paid && is_free => Some(Form::AzureActual),
                "usage" if is_committed && is_paid => Some(Form::AzureAmortized),
                _ => None,
            };
            Ok(())
        })?;
        if more.is_none() {
            break;
        }
    }
    Ok(found.unwrap_or(Form::AzureCost))
}
