//! A folder of CSV files becomes what `ledger::allocate` spreads. Either costs, as OpenCost's own export has them
//! (`allocations.csv`, with `idle_cluster.csv`, `idle_node.csv`), or usage and assets, from which costs follow
//! (`containers.csv`, `nodes.csv`, `volumes.csv`, `mounts.csv`, `load_balancers.csv`); beside either, `tenancy.csv`.
//! Or what the store holds of clusters becomes it (`stored`).
//! Columns `label_NAME` and `annotation_NAME` are labels and annotations.

mod sheet;
pub mod stored;
mod usage;

use std::path::Path;

use engine::{Error, Result};
use ledger::allocate::{Costs, Idle, Input, Rates, Row, Tenancy};

use sheet::{Line, Prefixed, Sheet};

/// Reads a folder. `by_node` chooses where idle is known by both; `defaults` are the prices of nodes that have none, and
/// of storage by the GiB-hour.
pub fn read(folder: &Path, by_node: bool, defaults: &Defaults) -> Result<Input> {
    if !folder.is_dir() {
        return Err(Error::invalid(format!("{} is no folder", folder.display())));
    }
    let mut input = match (folder.join("allocations.csv").exists(), folder.join("containers.csv").exists()) {
        (true, false) => costs(folder, by_node)?,
        (false, true) => usage::read(folder, defaults)?,
        (true, true) => {
            let text = "has both allocations.csv and containers.csv: the first says what containers cost, the second what they used";
            return Err(Error::invalid(format!("{} {text}", folder.display())));
        }
        (false, false) => {
            return Err(Error::invalid(format!("{} has neither allocations.csv nor containers.csv", folder.display())));
        }
    };
    if let Some(sheet) = Sheet::open(folder, "tenancy.csv")? {
        for line in sheet.lines() {
            input.tenancy.push(Tenancy {
                cluster: line.needed("cluster")?,
                node: line.text("node"),
                cost: line.amount("cost")?,
            });
        }
    }
    if !by_node {
        input.idle = idle_by_cluster(input.idle)?;
    }
    Ok(input)
}

/// Prices where a node or volume has none of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Defaults {
    /// Of an ordinary node.
    pub node: Rates,
    /// Of a spot node.
    pub spot: Rates,
    /// Of a GiB-hour of storage.
    pub storage: i128,
    /// Of a GiB sent within the region between zones, between regions, and to the internet.
    pub network: [i128; 3],
}

/// Costs as they stand.
fn costs(folder: &Path, by_node: bool) -> Result<Input> {
    let mut loaded = Input::default();
    let mut names = Names::default();
    Sheet::each(folder, "allocations.csv", &mut |line| {
        let costs = Costs {
            cpu: line.amount("cpu_cost")?,
            ram: line.amount("ram_cost")?,
            gpu: line.amount("gpu_cost")?,
            pv: line.amount("pv_cost")?,
            network: line.amount("network_cost")?,
            load_balancer: line.amount("lb_cost")?,
            external: line.amount("external_cost")?,
        };
        loaded.rows.push(Row { costs, ..names.of(line)? });
        Ok(())
    })?;
    let named = if by_node { "idle_node.csv" } else { "idle_cluster.csv" };
    let other = if by_node { "idle_cluster.csv" } else { "idle_node.csv" };
    let idle = match Sheet::open(folder, named)? {
        Some(sheet) => Some(sheet),
        None if by_node && folder.join(other).exists() => {
            return Err(Error::invalid(format!("{} knows idle by cluster only", folder.display())));
        }
        None => Sheet::open(folder, other)?,
    };
    for line in idle.iter().flat_map(Sheet::lines) {
        let costs = [line.amount("cpu_cost")?, line.amount("ram_cost")?, line.amount("gpu_cost")?];
        loaded.idle.push(Idle { cluster: line.needed("cluster")?, node: line.text("node"), costs });
    }
    Ok(loaded)
}

/// The names of rows.
struct Names {
    labels: Prefixed,
    annotations: Prefixed,
}

impl Default for Names {
    fn default() -> Names {
        Names { labels: Prefixed::new("label_"), annotations: Prefixed::new("annotation_") }
    }
}

impl Names {
    fn of(&mut self, line: &Line<'_>) -> Result<Row> {
        Ok(Row {
            tenant: line.text("tenant"),
            cluster: line.needed("cluster")?,
            node: line.text("node"),
            namespace: line.text("namespace"),
            pod: line.text("pod"),
            container: line.text("container"),
            controller_kind: line.text("controller_kind"),
            controller: line.text("controller"),
            service: line.text("service"),
            labels: self.labels.of(line),
            annotations: self.annotations.of(line),
            costs: Costs::default(),
        })
    }
}

/// Idle of all nodes of each cluster together.
pub fn idle_by_cluster(idle: Vec<Idle>) -> Result<Vec<Idle>> {
    let mut found: Vec<Idle> = Vec::new();
    for one in idle {
        let at = found.iter().position(|known| known.cluster == one.cluster);
        let at = at.unwrap_or_else(|| {
            found.push(Idle { cluster: one.cluster.clone(), ..Idle::default() });
            found.len() - 1
        });
        for (sum, cost) in found[at].costs.iter_mut().zip(one.costs) {
            *sum = sum.checked_add(cost).ok_or_else(|| Error::invalid("idle has more than 38 digits"))?;
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
