//! Which charge a row is: the same in every delivery of it, whatever its cost is restated to.

use std::collections::HashMap;
use std::sync::Arc;

use engine::arrow::array::{ArrayRef, StringBuilder};
use sha2::{Digest, Sha256};

use super::batch::Cells;
use super::layout::Layout;

/// What identifies a charge within its export and billing period. Costs, quantities and the invoice are not among it:
/// they change from delivery to delivery.
const KEYS: [&str; 19] = [
    "BillingAccountId",
    "SubAccountId",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ResourceId",
    "AllocatedResourceId",
    "ServiceName",
    "SkuId",
    "SkuPriceId",
    "SkuMeter",
    "RegionId",
    "AvailabilityZone",
    "PricingCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountStatus",
    "ConsumedUnit",
];

/// Computes `x_charge_id`.
pub struct Identity {
    cells: Vec<Option<usize>>,
    ordinals: HashMap<[u8; 16], u32>,
    key: Vec<u8>,
    ids: StringBuilder,
}

impl Identity {
    /// For the rows of a file of this layout.
    pub fn new(layout: &Layout) -> Identity {
        let cells = KEYS.iter().map(|key| layout.cell(key)).collect();
        Identity { cells, ordinals: HashMap::new(), key: Vec::new(), ids: StringBuilder::new() }
    }

    /// Appends a row's id: its keys, and its ordinal among the run's rows of the same keys.
    pub fn append(&mut self, row: &impl Cells, tenant: &str, export: &str, period: Option<i64>) {
        self.key.clear();
        let mut part = |text: &str| {
            self.key.extend_from_slice(&text.len().to_le_bytes());
            self.key.extend_from_slice(text.as_bytes());
        };
        part(tenant);
        part(export);
        for cell in &self.cells {
            part(cell.and_then(|at| row.cell(at)).unwrap_or_default());
        }
        self.key.extend_from_slice(&period.unwrap_or_default().to_le_bytes());
        let keys = half(Sha256::digest(&self.key).as_slice());
        let ordinal = self.ordinals.entry(keys).and_modify(|n| *n += 1).or_insert(0);
        let id = if *ordinal == 0 {
            keys
        } else {
            half(Sha256::new().chain_update(keys).chain_update(ordinal.to_le_bytes()).finalize().as_slice())
        };
        let mut text = [0u8; 32];
        hex::encode_to_slice(id, &mut text).expect("32 digits hold 16 bytes");
        self.ids.append_value(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"));
    }

    /// Appends a null: the row is a mark.
    pub fn append_null(&mut self) {
        self.ids.append_null();
    }

    /// The column so far.
    pub fn finish(&mut self) -> ArrayRef {
        Arc::new(self.ids.finish())
    }
}

fn half(digest: &[u8]) -> [u8; 16] {
    digest[..16].try_into().expect("a SHA-256 has 32 bytes")
}
