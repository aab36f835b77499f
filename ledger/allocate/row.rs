//! What is spread: containers with their costs, what their nodes left idle, and what the cluster costs beside its nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::UNMOUNTED;

/// Costs of a row by resource, in units of 10⁻¹⁸.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Costs {
    /// Cores.
    pub cpu: i128,
    /// Memory.
    pub ram: i128,
    /// Accelerators.
    pub gpu: i128,
    /// Volumes.
    pub pv: i128,
    /// Traffic.
    pub network: i128,
    /// Load balancers.
    pub load_balancer: i128,
    /// What is paid outside the cluster on its behalf.
    pub external: i128,
}

impl Costs {
    /// All of them; `None` past 38 digits.
    pub fn total(&self) -> Option<i128> {
        let rest = [self.ram, self.gpu, self.pv, self.network, self.load_balancer, self.external];
        rest.into_iter().try_fold(self.cpu, i128::checked_add)
    }

    /// What a node's idle is shared by: cores, memory, accelerators.
    pub fn of_node(&self) -> [i128; 3] {
        [self.cpu, self.ram, self.gpu]
    }
}

/// Labels by name. Rows of one workload have the same ones, and share them.
pub type Labels = Arc<BTreeMap<String, String>>;

/// One container in one window, or a cost with fewer names: a volume that nobody mounts, a bill from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Whose it is; empty where nobody says.
    pub tenant: String,
    /// Cluster.
    pub cluster: String,
    /// Node.
    pub node: String,
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// Container.
    pub container: String,
    /// `deployment`, `daemonset` …
    pub controller_kind: String,
    /// Name of the controller.
    pub controller: String,
    /// Service in front of it.
    pub service: String,
    /// Labels.
    pub labels: Labels,
    /// Annotations.
    pub annotations: Labels,
    /// What it costs before anything is shared.
    pub costs: Costs,
}

impl Row {
    /// Whether it is paid for and mounted nowhere.
    pub fn is_unmounted(&self) -> bool {
        [&self.namespace, &self.pod, &self.container].iter().any(|name| *name == UNMOUNTED)
    }

    /// Whether it ran on a node, so that an even share of idle is its to carry.
    pub fn is_container(&self) -> bool {
        !self.container.is_empty() && !self.is_unmounted()
    }
}

/// What a node, or all nodes of a cluster, cost and nobody used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Idle {
    /// Cluster.
    pub cluster: String,
    /// Node; empty where it is the cluster's.
    pub node: String,
    /// Cores, memory, accelerators, in units of 10⁻¹⁸.
    pub costs: [i128; 3],
}

/// What a cluster or node costs beside cores, memory and accelerators: its control plane, disks of the node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tenancy {
    /// Cluster.
    pub cluster: String,
    /// Node; empty where it is the cluster's.
    pub node: String,
    /// In units of 10⁻¹⁸.
    pub cost: i128,
}

/// Everything of one window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Input {
    /// Containers and what else has a cost.
    pub rows: Vec<Row>,
    /// Idle by node, or by cluster.
    pub idle: Vec<Idle>,
    /// What comes beside.
    pub tenancy: Vec<Tenancy>,
}
