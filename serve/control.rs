//! The control socket: the door of the operator who owns the data directory. The kernel names the peer, so it needs no
//! key: another user's process is refused even where the file's mode would let it in.

pub mod ado;
pub mod budgets;
pub mod cost;
pub mod ingest;
pub mod place;
pub mod policy;
pub mod rules;
pub mod scores;
pub mod search;
pub mod trust;
pub mod work;

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use engine::Result;
use ledger::principal::Principal;
use tokio::net::UnixListener;

use crate::auth::Guard;
use crate::house::House;
use crate::http::listen::Doors;

/// Routes that only the control socket has.
fn routes(house: &Arc<House>) -> Router {
    Router::new()
        .route("/control/ado", post(ado::read))
        .route("/control/budgets", post(budgets::ask))
        .route("/control/cost", post(cost::answer))
        .route("/control/ingest", post(ingest::ingest))
        .route("/control/index", get(search::status))
        .route("/control/index/build", post(search::build))
        .route("/control/index/drop", post(search::remove))
        .route("/control/policy/audit", post(policy::audit))
        .route("/control/rules", post(rules::answer))
        .route("/control/scores", post(scores::answer))
        .route("/control/search", post(search::search))
        .route("/control/trust", post(trust::grant))
        .route("/control/work", post(work::answer))
        .with_state(Arc::clone(house))
}

/// Answers on the control socket of `data` until the doors close. The socket is removed when the answer is dropped.
pub fn serve(house: &Arc<House>, data: &Path, doors: &Doors) -> Result<place::Bound> {
    let (listener, bound) = place::bind(data)?;
    let guard = Guard::Everybody(Principal::platform("operator"));
    let app = crate::http::app(house, guard, routes(house));
    let doors = doors.clone();
    tokio::spawn(accept(listener, app, doors));
    Ok(bound)
}

async fn accept(listener: UnixListener, app: Router, doors: Doors) {
    let own = rustix::process::getuid().as_raw();
    loop {
        let accepted = tokio::select! {
            () = doors.stopping().cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match stream.peer_cred() {
                Ok(peer) if peer.uid() == own => doors.serve_connection(stream, app.clone(), ()),
                Ok(peer) => tracing::warn!(
                    uid = peer.uid(),
                    pid = peer.pid(),
                    "another user's process at the control socket was refused"
                ),
                Err(error) => tracing::warn!(%error, "a peer at the control socket could not be named"),
            },
            Err(error) => {
                tracing::warn!(%error, "a connection to the control socket could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}
