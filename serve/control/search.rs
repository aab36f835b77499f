//! `POST /control/search` and `/control/index…`: the server that owns the store searches, and works on its index. A build
//! reports as it goes, a JSON object a line; when the caller goes away it goes on in the background like any other change.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::Result;
use index::search::{Found, IndexStatus};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::cli::context::ContextArgs;
use crate::house::House;
use crate::http::problem::Problem;
use crate::reach::{BuildWish, DropWish, FindWish};

/// Reports that may wait for the caller; the next ones are left out.
const REPORTS_WAITING_MAX: usize = 16;

/// One line of a build's answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// How far it is.
    Status(IndexStatus),
    /// The end.
    Done(IndexStatus),
    /// The other end.
    Failed(Problem),
}

/// Searches.
pub async fn search(State(house): State<Arc<House>>, Json(wish): Json<FindWish>) -> Result<Json<Found>, Problem> {
    Ok(Json(house.find(&wish).await?))
}

/// How far the index is.
pub async fn status(State(house): State<Arc<House>>) -> Result<Json<IndexStatus>, Problem> {
    Ok(Json(house.search.status().await?))
}

/// Deletes a model's vectors.
pub async fn remove(State(house): State<Arc<House>>, Json(wish): Json<DropWish>) -> Result<Json<u64>, Problem> {
    Ok(Json(house.search.searcher().await?.drop_model(&wish.model).await?))
}

type Line = Result<Bytes, std::convert::Infallible>;

fn line(report: &Report) -> Line {
    Ok(Bytes::from(format!("{}\n", serde_json::json!(report))))
}

/// Builds, and reports.
pub async fn build(State(house): State<Arc<House>>, Json(wish): Json<BuildWish>) -> Result<Response, Problem> {
    house.search.refuse_other(&ContextArgs::of_word(wish.context.clone()).wish()?)?;
    let (sender, lines) = mpsc::channel::<Line>(REPORTS_WAITING_MAX);
    tokio::spawn(async move {
        let mut tell = |status: &IndexStatus| drop(sender.try_send(line(&Report::Status(status.clone()))));
        let built = house.search.build(wish.model.as_deref(), &mut tell).await;
        let last = built.map_or_else(|error| Report::Failed(error.into()), Report::Done);
        let _ = sender.send(line(&last)).await;
    });
    let body = Body::from_stream(ReceiverStream::new(lines));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}
