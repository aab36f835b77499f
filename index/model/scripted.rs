//! A small HTTP server that answers as a test's script says.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What is answered: status, headers, body, and how many bytes of the body are sent before the connection breaks.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub breaks_at: Option<usize>,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Reply {
        Reply { status, body: body.into(), ..Reply::default() }
    }
}

pub struct Scripted {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Scripted {
    /// Serves on a free port until it is dropped.
    pub async fn serve(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (script, seen) = (Arc::new(script), Arc::clone(&asked));
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                tokio::spawn(async move { answer(stream, script.as_ref(), &seen).await });
            }
        });
        Scripted { address, asked, serving }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// One request a connection.
async fn answer(mut stream: TcpStream, script: &(impl Fn(&Asked) -> Reply + Send + Sync), seen: &Mutex<Vec<Asked>>) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    let headers: BTreeMap<String, String> =
        lines.filter_map(|l| l.split_once(": ")).map(|(n, v)| (n.to_lowercase(), v.to_owned())).collect();
    let size: usize = headers.get("content-length").map_or(0, |v| v.parse().unwrap());
    let mut body = bytes.split_off(end + 4);
    while body.len() < size {
        assert!(stream.read_buf(&mut body).await.unwrap() > 0, "the client breaks off");
    }
    let asked = Asked { path, headers, body };
    seen.lock().push(asked.clone());
    let reply = script(&asked);
    let mut text =
        format!("HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
    reply.headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all((text + "\r\n").as_bytes()).await.unwrap();
    let sent = reply.breaks_at.unwrap_or(reply.body.len());
    let _ = stream.write_all(&reply.body[..sent]).await;
    let _ = stream.shutdown().await;
}
