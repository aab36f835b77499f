//! What analysts ask of costs beside other streams: what a unit of work costs, and what is paid for in vain.

use engine::View;

/// What a unit costs.
pub static UNIT_COST: View = View {
    name: "unit_cost",
    doc: "What a unit of work costs, by month and tenant: a build, a deployment, a thousand requests, a million tokens. Costs are those of the rows that name the pipeline run, the project, the application or the model.",
    sql: include_str!("views/unit_cost.sql"),
};

/// What is paid for in vain.
pub static COST_WASTE: View = View {
    name: "cost_waste",
    doc: "What is paid for in vain, by month and tenant: idle nodes, volumes that nothing mounts, commitments and reservations that nobody uses, containers that ask for more than they ever take.",
    sql: include_str!("views/cost_waste.sql"),
};
